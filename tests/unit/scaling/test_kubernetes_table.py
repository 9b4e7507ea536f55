"""The published cases of Kubernetes' replica calculator, decided by our policy with Kubernetes' rules.

Source: kubernetes/kubernetes, pkg/controller/podautoscaler/replica_calculator_test.go, one row for each of its 50
calculations, named as there; levels are shares of a pod's request. Pods that Kubernetes leaves out because they are
not ready or too young are loading here. Where it gives an error, there is no usable value and the count stays.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from headrace_scaling.decisions import presets
from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.observations import Metric, Observation, Replicas, Signal
from headrace_scaling.decisions.policies import Target, TargetKind

from tests.kit.rows import each

MEAN, VALUE, TOTAL = TargetKind.REPLICA_MEAN, TargetKind.POOL_VALUE, TargetKind.TOTAL
THREE = Replicas(ready=3, requested=3)
FIVE = Replicas(ready=5, requested=5)
YOUNG = Replicas(ready=2, loading=1, requested=3)

# name, kind, target, levels (None: nothing that can be used), replicas, expected
CASES: list[tuple[str, TargetKind, float, list[float] | None, Replicas, int]] = [
    ("DisjointResourcesMetrics", MEAN, 1.0, None, Replicas(1, requested=1), 1),
    ("ScaleUp", MEAN, 0.3, [0.3, 0.5, 0.7], THREE, 5),
    ("ScaleUpUnreadyLessScale", MEAN, 0.3, [0.5, 0.7], YOUNG, 4),
    ("ScaleUpHotCpuLessScale", MEAN, 0.3, [0.5, 0.7], YOUNG, 4),
    ("ScaleUpUnreadyNoScale", MEAN, 0.3, [0.4], Replicas(1, 2, requested=3), 3),
    ("ScaleHotCpuNoScale", MEAN, 0.3, [0.4], Replicas(1, 2, requested=3), 3),
    ("ScaleUpIgnoresFailedPods", MEAN, 0.3, [0.5, 0.7], Replicas(2, failed=2, requested=2), 4),
    ("ScaleUpIgnoresDeletionPods", MEAN, 0.3, [0.5, 0.7], Replicas(2, draining=2, requested=2), 4),
    ("ScaleUpCM", MEAN, 15.0, [20.0, 10.0, 30.0], THREE, 4),
    ("ScaleUpCMUnreadyHotCpuNoLessScale", MEAN, 15.0, [50.0, 10.0, 30.0], THREE, 6),
    ("ScaleUpCMUnreadyHotCpuScaleWouldScaleDown", MEAN, 15.0, [50.0, 15.0, 30.0], THREE, 7),
    ("ScaleUpCMObject", VALUE, 15.0, [20.0], THREE, 4),
    ("ScaleUpCMPerPodObject", TOTAL, 5.0, [20.0], THREE, 4),
    ("ScaleUpCMObjectIgnoresUnreadyPods", VALUE, 10.0, [50.0], Replicas(1, 2, requested=3), 5),
    ("ScaleUpCMExternal", MEAN, 4.4, [8.6], Replicas(1, requested=1), 2),
    ("ScaleUpCMExternalIgnoresUnreadyPods", VALUE, 4.4, [8.6], Replicas(1, 2, requested=3), 2),
    ("ScaleUpCMExternalNoLabels", MEAN, 4.4, [8.6], Replicas(1, requested=1), 2),
    ("ScaleUpPerPodCMExternal", TOTAL, 2.15, [8.6], THREE, 4),
    ("ScaleDown", MEAN, 0.5, [0.1, 0.3, 0.5, 0.25, 0.25], FIVE, 3),
    ("ScaleDownCM", MEAN, 20.0, [12.0] * 5, FIVE, 3),
    ("ScaleDownPerPodCMObject", TOTAL, 2.0, [6.0], FIVE, 3),
    ("ScaleDownCMObject", VALUE, 20.0, [12.0], FIVE, 3),
    ("ScaleDownCMExternal", VALUE, 14.334, [8.6], FIVE, 3),
    ("ScaleDownPerPodCMExternal", TOTAL, 2.867, [8.6], FIVE, 3),
    ("ScaleDownIncludeUnreadyPods", MEAN, 0.5, [0.1, 0.3, 0.5], Replicas(3, 2, requested=5), 2),
    ("ScaleDownExcludeUnscheduledPods", MEAN, 0.5, [0.1], Replicas(1, 4, requested=5), 1),
    ("ScaleDownIgnoreHotCpuPods", MEAN, 0.5, [0.1, 0.3, 0.5], Replicas(3, 2, requested=5), 2),
    ("ScaleDownIgnoresFailedPods", MEAN, 0.5, [0.1, 0.3, 0.5, 0.25, 0.25], replace(FIVE, failed=2), 3),
    ("ScaleDownIgnoresDeletionPods", MEAN, 0.5, [0.1, 0.3, 0.5, 0.25, 0.25], replace(FIVE, draining=2), 3),
    # Requests of 0.9, 1.0 and 1.1: the mean is that of their sums.
    ("Tolerance", MEAN, 1.0, [1.02] * 3, THREE, 3),
    ("ToleranceCM", MEAN, 20.0, [20.0, 21.0, 21.0], THREE, 3),
    ("ToleranceCMObject", VALUE, 20.0, [20.666], THREE, 3),
    ("TolerancePerPodCMObject", TOTAL, 5.0, [20.166], Replicas(4, requested=4), 4),
    ("ToleranceCMExternal", VALUE, 8.888, [8.6], THREE, 3),
    ("TolerancePerPodCMExternal", TOTAL, 2.9, [8.6], THREE, 3),
    # Two of its six levels belong to no pod.
    ("SuperfluousMetrics", MEAN, 1.0, [4.0, 9.5, 3.0, 7.0], Replicas(4, requested=4), 24),
    ("MissingMetrics", MEAN, 1.0, [0.4, 0.095], Replicas(4, requested=4), 3),
    ("EmptyMetrics", MEAN, 1.0, None, Replicas(4, requested=4), 4),
    ("EmptyCPURequest", MEAN, 1.0, [math.nan], Replicas(1, requested=1), 1),
    ("MissingMetricsNoChangeEq", MEAN, 1.0, [1.0], Replicas(2, requested=2), 2),
    ("MissingMetricsNoChangeGt", MEAN, 1.0, [1.9], Replicas(2, requested=2), 2),
    ("MissingMetricsNoChangeLt", MEAN, 1.0, [0.6], Replicas(2, requested=2), 2),
    ("MissingMetricsUnreadyChange", MEAN, 0.5, [0.45], YOUNG, 3),
    ("MissingMetricsHotCpuNoChange", MEAN, 0.5, [0.45], YOUNG, 3),
    ("MissingMetricsUnreadyScaleUp", MEAN, 0.5, [2.0], YOUNG, 4),
    ("MissingMetricsHotCpuScaleUp", MEAN, 0.5, [2.0], YOUNG, 4),
    ("MissingMetricsUnreadyScaleDown", MEAN, 0.5, [0.1, 0.1], Replicas(3, 1, requested=4), 3),
    ("DuringRollingUpdateWithMaxSurge", MEAN, 0.5, [0.1, 0.1], Replicas(3, requested=2), 2),
    # Targets of 56 and 55 %, computed there from the tolerance.
    ("ComputedToleranceAlgImplementation", MEAN, 0.56, [0.5] * 10, Replicas(10, requested=10), 9),
    ("ComputedToleranceAlgImplementation unscaling", MEAN, 0.55, [0.5] * 10, Replicas(10, requested=10), 10),
]


def test_every_calculation_is_here():
    assert len(CASES) == 50


@each("kind,target,levels,replicas,expected", [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_kubernetes_calculates_it_so(
    kind: TargetKind, target: float, levels: list[float] | None, replicas: Replicas, expected: int
):
    metric = Metric.GPU_UTILISATION
    # A pod without metrics is assumed at all of its request before scaling down, where the target is a share of it.
    assumed = max(1.0, target) if kind is MEAN and target <= 1.0 else None
    policy = replace(
        presets.kubernetes(1.0, most=100),
        targets=(Target(metric, target, kind, missing_as=assumed),),
        scale_down_window_s=0.0,
        step_up=None,
        step_down=None,
    )
    value = None if levels is None else sum(levels)
    reporting = len(levels) if levels is not None and kind is MEAN else None
    seen = Observation("pods", 0.0, replicas, {metric: Signal(value, 0.0, reporting)})
    assert decide(policy, None, seen)[0].desired == expected
