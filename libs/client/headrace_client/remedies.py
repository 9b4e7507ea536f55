"""Remedies of errors by their reason, for users at a terminal or in a browser.

A remedy is a sentence; commands are between backticks, or on a separate indented line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import grpc

from headrace_client import parts
from headrace_client.errors import HeadraceError

# MODEL, VERSION and ID stand for the model, its version and the job that an error is about, PIPELINE and
# PIPELINE_VERSION for what has it as a member.
_BY_REASON = {
    "REPORT_IN_CONSOLE": "upgrade headrace-client, and `headrace monitor report MODEL --html FILE` saves the page",
    "MODEL_NOT_FOUND": "`headrace models list` shows the models that your token may see",
    "VERSION_NOT_FOUND": "`headrace models show MODEL` lists the versions; a call may name only those in the route",
    "NOTHING_IN_PRODUCTION": "name a version, or promote one: `headrace models promote MODEL VERSION`",
    "ARTIFACT_NOT_FOUND": "`headrace models show MODEL VERSION` lists the files of a version",
    "VERSION_EXISTS": "versions never change: register the new content under another version name",
    "BUDGET_SPENT": "`headrace usage budgets list` shows what is left; ask who sets budgets for a larger one",
    "STATE_INVALID": "correct the line that is named; `headrace plan --help` shows a file",
    "BUDGET_INVALID": "`headrace usage budgets set --help` shows what a budget can be",
    "TOO_MANY_BUDGETS": "`headrace usage budgets list` shows them; one for `*` is for every client",
    "RATE_LIMITED": "send fewer requests, or retry after the given time; `headrace usage limits list` shows them",
    "RATE_LIMIT_INVALID": "`headrace usage limits set --help` shows what a rate limit can be",
    "RATE_LIMIT_UNAVAILABLE": "ask again in a moment; `headrace usage limits list` shows what holds in an outage",
    "TOO_MANY_RATE_LIMITS": "`headrace usage limits list` shows them; one for `*` is for every client",
    "REQUEST_ID_REUSED": "take another request id: this one belongs to another write",
    "ARTIFACT_TYPE_REFUSED": "`headrace models register --help` shows which files are taken, and what is converted",
    "DIGEST_MISMATCH": "the file changed while it was sent, or the way damaged it: send it again",
    "SIZE_MISMATCH": "the file changed while it was sent: send it again",
    "ARTIFACT_TOO_LARGE": "make the file smaller, or ask the operator for a higher limit",
    "ARTIFACT_NOT_UPLOADED": "repeat `headrace models register`: it uploads what is missing",
    "CONTRACT_MISMATCH": "correct what the field names: the model file, or `--contract` where you gave one",
    "MODEL_DOES_NOT_RUN": "correct the model; where it fails on zeros alone, give a row that it answers: `--artifact "
    """validation.json=FILE` with `{"inputs": {"INPUT": [ROW]}}`; for a pool with another runtime: `--skip-trial`""",
    "OUTPUTS_DIFFER": 'correct the model or the expected outputs; state what may differ, `"tolerance": 0.01` beside '
    "`outputs` in validation.json; or take it as it is: `--accept-difference`",
    "VALIDATION_UNREADABLE": """validation.json is `{"inputs": {INPUT: [ROW, …]}, "outputs": {OUTPUT: [ROW, …]}}`, """
    "of at most 2 MiB, with the names and sizes of the contract: correct it, or register without it",
    "PARENT_VERSION_NOT_FOUND": "name a version of the same model as the parent, or leave it out",
    "PROMOTION_GATE_FAILED": "register a version that passes, or change the gates: `headrace models gates "
    "MODEL --set GATE`",
    "UNPROMOTED_SHARE_EXCEEDED": "`headrace models promote MODEL VERSION`, or move traffic by `headrace rollouts start "
    "MODEL VERSION`, which asks gates and approvals first; `headrace models gates MODEL --max-unpromoted-share SHARE` "
    "and `headrace models approval-policy` allow more",
    "SIGNATURE_INCOMPATIBLE": "keep what callers send and read; once all of them have changed, allow it: by the "
    "command line with `--allow-incompatible-signature`",
    "VERSION_COLLECTED": "its files are gone: register the version again under another name",
    "MODEL_IN_USE": "`headrace models holds MODEL` shows who needs it: the route goes with the model by `headrace "
    "models delete MODEL --with-route`, a rollout ends with `headrace rollouts abort MODEL`, a job with `headrace jobs "
    "cancel`, other holds with `headrace models release`; a pipeline that has it as a member is deleted first",
    "TOO_MANY_HOLDS": "`headrace models holds MODEL` shows them: release one, or renew your own under its holder",
    "UPLOAD_NOT_FOUND": "start the upload again: uploads belong to their client and expire",
    "UPLOAD_NOT_SENT": "send the file to the URL first, with the given headers",
    "UPLOAD_IDLE": "send the file again: nothing came for a while",
    "UPLOAD_TOO_SLOW": "send the file again, nearer to the registry or with more of the network to itself",
    "UPLOAD_URLS_NOT_OFFERED": "upload through the API: `headrace models register` does",
    "ALERT_REPORT_INVALID": "correct what the field names: services report by themselves",
    "REPORTER_SUPERSEDED": "another process of the service leads and reports: nothing to do",
    "TOO_MANY_UPLOADS": "try again in a while: others are uploading",
    "TOO_MANY_UPLOADS_OF_CLIENT": "wait for the uploads that this client has open, then try again",
    "TOO_MANY_HOLDS_OF_CLIENT": "`headrace models holds MODEL` shows them: release one of this client's, or renew it",
    "TOO_MANY_PUBLISHES_OF_CLIENT": "commit or give up one of this client's: `headrace precompute status MODEL` "
    "lists them",
    "TOO_MANY_QUERIES_OF_CLIENT": "wait for the queries that this client has running, then try again",
    "TOO_MANY_FREEZES_OF_CLIENT": "wait for the references that this client is freezing, then try again",
    "MODEL_DELETED": "names are never used twice: take another",
    "STAGE_MOVE_ILLEGAL": "`headrace models show MODEL` shows the stages; production is left only by being replaced",
    "NOTHING_TO_ROLL_BACK_TO": "promote the version that you want instead: `headrace models promote MODEL VERSION`",
    "ETAG_MISMATCH": "it was changed since it was read: read it again, then repeat the change",
    "ROUTE_MANAGED": "stop what manages it, or take the route from it: by the command line with `--force`",
    "MANAGER_NOT_YOURS": "leave the manager out; `headrace routes show MODEL` says who manages the route",
    "VERSION_IN_USE": "archive the pipeline that is named first (`headrace models promote PIPELINE "
    "PIPELINE_VERSION --to archived`), or register a version of it with other members and promote that",
    "ALIAS_NOT_FOUND": "set the alias (`headrace models show MODEL` lists those that there are), or name a version",
    "MEMBER_MOVED": "register the pipeline again",
    "PIPELINE_NOT_FUSIBLE": "leave `fuse` out: the pipeline then runs step by step",
    "PIPELINE_INVALID": "correct the step or edge that the field names: `headrace models graph` draws a pipeline",
    "CODE_NOT_ALLOWED": "ask the operator for REGISTRY_ALLOW_CODE=true and BATCHER_ALLOW_CODE=true (locally: two lines "
    "of the file headrace.env, then `make down up`), or register the model as ONNX",
    "NOT_SIGNED": "sign the version's files (`headrace models sign FILE --key KEY`), and register another version with "
    "`--signature FILE`",
    "SIGNATURE_INVALID": "sign exactly the files of the version again, under the names that they have in it: "
    "`headrace models sign` takes what `headrace models register` does",
    "MODEL_SIGNING_MISSING": "`pip install 'headrace-client[signing]'`",
    "CERTIFICATE_EXPIRED": "sign the files again with a certificate that is valid, and register another version",
    "SIGNER_NOT_TRUSTED": "sign with an accepted key, or ask the operator to add it to REGISTRY_SIGNING_POLICY_FILE",
    "SIGNER_REVOKED": "sign the files with a key that is valid, and register another version",
    "MODEL_EXISTS": "`headrace models show MODEL` shows it, and `headrace models register MODEL` adds a version to it",
    "TOO_MANY_ALIASES": "`headrace models show MODEL` lists them: remove one with `headrace models alias … --delete`",
    "SERVER_NOT_ALLOWED": "ask the operator to allow the server's address, or register the model's files",
    "NO_POOL_FOR_FORMAT": "`headrace status` shows what runs: start a batcher that runs the format, or register ONNX",
    "EXPERIMENT_ENDED": "`headrace experiments create MODEL EXPERIMENT …` makes another one",
    "EXPERIMENT_INVALID": "the message names the field; `headrace experiments create --help` says what each takes",
    "EXPERIMENT_NOT_FOUND": "`headrace experiments list MODEL` shows what there is",
    "EXPERIMENT_NOT_RUNNING": "`headrace experiments start MODEL EXPERIMENT` starts a draft",
    "EXPERIMENT_RUNNING": "`headrace experiments list MODEL` shows which one runs: conclude that one first, by "
    "`headrace experiments conclude MODEL EXPERIMENT`",
    "EXPERIMENT_EXISTS": "choose another name: `headrace experiments list MODEL` shows those that are taken",
    "TOO_MANY_EXPERIMENTS": "experiments are evidence, and none is removed: register the model under another name",
    "TOO_MANY_PHASES": "`headrace experiments conclude MODEL EXPERIMENT` ends it; then create another one",
    "EXPERIMENT_UNDECIDED": "`headrace experiments watch MODEL EXPERIMENT` waits for a verdict; `--anyway` does not",
    "VARIANT_GONE": "`headrace routes show MODEL` shows the variants that the route has",
    "ROLLOUT_RUNNING": "`headrace rollouts watch MODEL` shows it: wait for it, or end it with `headrace rollouts abort "
    "MODEL`, or by `headrace models promote MODEL VERSION --end-rollout`, as a rollback can too",
    "ROLLOUT_CHANGED": "it changed meanwhile: `headrace rollouts watch MODEL` shows it; then repeat the change",
    "ROUTE_CHANGING": "an earlier start of the experiment has not ended: try again in a moment",
    "APPROVAL_REQUIRED": "`headrace models request MODEL VERSION --reason …` asks for it; in an emergency `headrace "
    "models break-glass`, and `headrace models rollback` needs no approval",
    "APPROVAL_NOT_REQUIRED": "`headrace models promote MODEL VERSION`: no approval is needed",
    "APPROVER_IS_AUTHOR": "another client has to approve: the requester and the uploader of the version do not count",
    "NOT_AN_APPROVER": "`headrace models approval-policy MODEL` says who may",
    "NOT_THE_AUTHOR": "`headrace models reject MODEL NUMBER --reason …` ends another client's request",
    "PROMOTION_REQUESTED": "`headrace models approvals MODEL` shows the request; withdraw it to make another",
    "PROMOTION_REQUEST_NOT_FOUND": "`headrace models approvals MODEL --all` lists them",
    "PROMOTION_REQUEST_CLOSED": "`headrace models approvals MODEL NUMBER` says how it ended",
    "PROMOTION_REQUEST_EXPIRED": "ask again: `headrace models request MODEL VERSION --reason …`",
    "BREAK_GLASS_FORBIDDEN": "`headrace models rollback MODEL` goes back; the policy has no exception",
    "TOO_MANY_REQUESTS": "`headrace models approvals MODEL` lists them: withdraw or reject some",
    "ROLLOUT_NOT_FOUND": "`headrace rollouts list` shows the rollouts that your token may see",
    "ROLLOUT_OVER": "`headrace rollouts history MODEL` says how it ended; start another one",
    "FORMAT_NOT_SCORED": "`headrace models show MODEL` shows the versions; register the model as ONNX",
    "INPUT_UNREADABLE": "check the files below the prefix that the job reads: one of them crashes its reader",
    "SCORING_JOB_CHANGED": "it changed meanwhile: `headrace jobs get MODEL/ID` shows it; then repeat the change",
    "SCORING_JOB_NOT_FOUND": "`headrace jobs list` shows the jobs that your token may see",
    "SCORING_JOB_OVER": "`headrace jobs history MODEL/ID` says how it ended; submit another one",
    "SCORING_JOB_NOT_FAILED": "`headrace jobs get MODEL/ID` shows it; only what failed can be tried again",
    "SCORING_JOB_NOT_SUCCEEDED": "`headrace jobs watch MODEL/ID` follows it; publish it when it has succeeded",
    "PUBLICATION_ACTIVE": "`headrace jobs publication MODEL/ID` shows it; revert it before it is published again",
    "PUBLICATION_CHANGED": "it changed meanwhile: `headrace jobs publication MODEL/ID` shows it; then repeat that",
    "PUBLICATION_NOT_FOUND": "publish it with `headrace jobs publish MODEL/ID --entity COLUMN`",
    "PUBLICATION_NOT_HELD": "`headrace jobs publication MODEL/ID` shows it; only what is held can be approved",
    "PUBLICATION_NOT_PUBLISHED": "`headrace jobs publication MODEL/ID` shows it; what is published can be reverted",
    "PUBLISHING_MISSING": "say by which column: `--entity COLUMN`",
    "OUTPUTS_MISSING": "keep the entity's column with `--keep`, and write every output of the version",
    "SCHEDULE_CHANGED": "it changed meanwhile: `headrace schedules list` shows it; then repeat the change",
    "SCHEDULE_NOT_FOUND": "`headrace schedules list` shows the schedules that your token may see",
    "TOO_MANY_SCHEDULES": "delete schedules that are not needed: `headrace schedules list` shows them",
    "PROCESS_LOST": "check the files that the job reads: one crashes its reader; or give the scorer more memory",
    "TOO_MANY_ESTIMATES": "ask again when the other estimate has been made",
    "MAPPING_MISMATCH": "name columns with `--tensor NAME=COLUMN,COLUMN`, convert them with `--derive COLUMN=SQL`",
    "INPUT_EMPTY": "look at the prefix: names and folders that begin with `_` or `.` are left out",
    "SOURCE_UNUSABLE": "try the query where it runs; sources are declared in SCORER_SOURCES_FILE",
    "INPUT_CHANGED": "submit the job again when nothing writes to its input",
    "TOO_MANY_JOBS": "`headrace jobs list --running` shows them: wait, or cancel some",
    "TOO_MANY_REJECTED": "the files in `_rejected` below its output say why; allow more with `--max-rejected-share`",
    "MODEL_FAILED": "`headrace models show MODEL` shows the version; try a few rows with `headrace predict`",
    "WEBHOOK_INVALID": "correct the field that is named; where webhooks may be is the operator's to say",
    "NAME_TAKEN": "choose another name",
    "TOO_MANY_WEBHOOKS": "delete some that are not needed",
    "TOO_MANY_WEBHOOKS_OF_CLIENT": "delete some of yours",
    "STEP_NOT_REACHED": "`headrace rollouts watch MODEL` shows when it is there; then try again",
    "STEP_CHANGED": "`headrace rollouts watch MODEL` shows the present step",
    "VARIANT_TAKEN": "give the variant another name with `headrace routes split MODEL …`",
    "UNIT_IS_REQUEST": "`headrace routes split MODEL … --unit user` has users keep their variant",
    "NOT_SERVING": "`headrace routes status MODEL` says what it waits for; where nothing is in production, `headrace "
    "models promote MODEL VERSION` first",
    "VARIANT_AMBIGUOUS": "name one; `headrace routes show MODEL` lists them",
    "ALREADY_SERVING": "nothing is to do: the version serves; `headrace routes show MODEL` shows it",
    "SHADOWING_IN_USE": "`headrace routes shadow MODEL --off` ends the shadow that the route has",
    "TRAFFIC_FROZEN": "`headrace monitor alerts list` says which alert is open: mend its cause, then `headrace monitor "
    "alerts resolve ALERT`; a silence ends no freeze, a rule without `--freeze` does",
    "ALERTS_UNKNOWN": "the monitor has not yet said which alerts are open: `headrace status` shows whether it is up",
    "UNIT_IN_USE": "write `sticky: true` into the policy, so that users keep their variants",
    "SUPERSEDED": "a newer change took its place: `headrace routes show MODEL` shows what is in force",
    "CHANGE_PENDING": "the change stays wanted: `headrace routes show MODEL` says why it waits",
    "VERSION_NOT_READY": "`headrace status` says what is loading and why it waits; traffic stays where it was",
    "MODEL_CHANGED": "try again: the model changed at that moment",
    "VERSION_UNKNOWN": "try again in a moment: the control plane has not heard of the version yet",
    "NOT_PRECOMPUTED": "publish answers for the entity (`headrace precompute publish`), or give the route a fallback "
    "or mode hybrid",
    "STORE_FULL": "publish fewer or smaller answers, give up open publishes (`headrace precompute status MODEL`), wait "
    "until what reverts could return to is removed, or ask the operator for more memory",
    "TOO_MANY_PUBLISHES": "wait, or give open ones up: `headrace precompute status MODEL` lists them",
    "VERSION_MISMATCH": "publish the answers for the version that computed them: `--version`",
    "STORE_EVICTS": "ask the operator to set maxmemory-policy to volatile-lru",
    "STORE_NOT_DURABLE": "ask the operator to turn the store's append-only file on, or to allow answers that a crash "
    "loses (ROUTER_CONTROL_PRECOMPUTED_DURABLE)",
    "STORE_UNAVAILABLE": "the store that is named is away: try again when it is back, with `--resume` where an "
    "upload was cut; `headrace status` shows which service misses it",
    "ARTIFACT_STORE_UNAVAILABLE": "S3, which stores model files, is unreachable, and the registry is up: try again "
    "when S3 is back. For the operator: REGISTRY_S3_ENDPOINT, and the credentials beside it",
    "DATABASE_UNAVAILABLE": "PostgreSQL is away, and the service before it is up: try again when it is back",
    "REGISTRY_UNAVAILABLE": "the registry is away, and the service that asked it is up: `headrace status` shows it",
    "STREAM_BROKEN": "try again: the connection ended on the way",
    "ROWS_MISSING": "send the rest: `headrace precompute publish … --resume PUBLISH` continues where the publish is",
    "PUBLISH_LOST": "the store lost rows: `headrace precompute publish … --resume PUBLISH` sends them again",
    "PUBLISH_CLOSED": "begin a new publish: this one was committed or given up",
    "PUBLISH_COMMITTED": "take it back with `headrace precompute revert MODEL`",
    "PUBLISH_OVERTAKEN": "another publish of the version was committed first: `headrace precompute status MODEL` shows "
    "it; publish again if yours is newer",
    "ROWS_GONE": "give the batches as a list or a function, so that they can be read again",
    "NO_PRODUCTION_VERSION": "name a version, by the command line with `--version`",
    "PYARROW_MISSING": "`pip install 'headrace-client[parquet]'`",
    "PUBLISH_CHANGED": "it changed meanwhile: `headrace precompute status MODEL` shows it; then repeat the change",
    "PUBLISH_NOT_FOUND": "`headrace precompute status MODEL` lists the publishes",
    "NOTHING_TO_REVERT": "publish the answers that you want instead: `headrace precompute publish`",
    "EXPLANATION_NOT_FOUND": "ask with `headrace predict --explain`, or with the header `x-headrace-explain: 1`, and "
    "look within an hour",
    "TIME_SHORT": "allow more time, or give the route a fallback; `headrace explain` shows what each step takes",
    "MODEL_NOT_READY": "`headrace models promote MODEL VERSION` puts a version into production; one that is there is "
    "loading, and `headrace routes status MODEL` says why it waits",
    "QUERY_INVALID": "`headrace monitor query --help` shows the views; DESCRIBE predictions lists the columns",
    "QUERY_TOO_LARGE": "bound the time with `--since` and `--until`, name a model and a version in WHERE",
    "QUERY_TOO_SLOW": "bound the time with `--since` and `--until`, name a model and a version in WHERE",
    "TOO_MANY_QUERIES": "try again in a while: others are asking",
    "NO_REFERENCE_ARTIFACT": "register the version with `--artifact reference.parquet=FILE`, or freeze a time that was "
    "good: `headrace monitor reference freeze MODEL VERSION --since 24h`",
    "REFERENCE_NOT_FOUND": "freeze a time that was good: `headrace monitor reference freeze MODEL VERSION --since 24h`",
    "REFERENCE_UNREADABLE": "freeze a time of the log instead: `headrace monitor reference freeze MODEL VERSION "
    "--since 24h`",
    "TOO_MANY_TOLERANCES": "`headrace monitor drift tolerances MODEL` lists them: unset one, or set one for all",
    "TOO_FEW_PREDICTIONS": "take a longer time with `--since`, or wait for more predictions",
    "ALERT_NOT_FOUND": "`headrace monitor alerts list --all` shows the alerts that your token may see",
    "OUTCOME_REJECTED": "correct the field that is named; `headrace monitor outcomes record --help` shows examples",
    "WRONG_USAGE": "`headrace … --help` shows how the command is written, with examples",
    "ANSWERS_IN_PARTS": "`headrace predict MODEL --stream` shows each part as it comes",
    "TOO_MANY_ANSWERS": "let some of your answers in parts end, or have ROUTER_DATA_MAX_PART_ANSWERS_PER_CLIENT raised",
    "ANSWER_CUT_OFF": "ask again: what came before belongs to an answer that has no end",
    "READER_TOO_SLOW": "take the parts as they come: the model waits no longer than 20 seconds for one to be taken",
    "POOL_STARTING": "come back when the time is over that it says, or give `--timeout` more than that",
    "MODEL_LOADING": "come back when the time is over that it says; `headrace models settings MODEL@VERSION --warm` "
    "keeps it in memory",
    "POLICY_NOT_FOUND": "`headrace autoscale policy put POOL FILE` gives the pool one; `headrace autoscale status` "
    "lists the pools",
    "TOO_MANY_POLICIES": "remove an unused one: `headrace autoscale policy delete POOL`",
    "POOL_NOT_FOUND": "`headrace autoscale status` lists the pools",
    "DECISION_NOT_FOUND": "`headrace autoscale decisions POOL` shows the stored ones; a pool without a policy has "
    "none: `headrace autoscale policy put POOL FILE` gives it one",
    "NO_DECISIONS": "choose another time: `headrace autoscale decisions POOL` shows the stored decisions",
    "NO_HISTORY": "take another time: `headrace autoscale decisions POOL` shows since when the pool is known",
    "NOT_IN_STAGING": "`headrace models promote MODEL VERSION --to staging`: callers of another would meet the faults",
    "NO_FALLBACK": "`headrace routes fallback set MODEL constant:FILE.json` says what answers in its place",
    "SIMULATOR_UNAVAILABLE": "start the batchers of the pool behind `headrace-simulator`, and give the address of its "
    "control interface",
    "SIMULATOR_REFUSED": "the message says what it wants; a token of its own comes from a file, named by "
    "`--simulator-token-file`",
    "NO_BACKEND": "`headrace status` shows which service is down",
}
# Of a service that says why: it is up, and the address is right.
_UNAVAILABLE_BEHIND = "something behind the address is away, as the reason says: `headrace status` shows which service"
_GAME_DAY, _OUTPUTS_HOLD = "gates.game_day", "gates.parity_over_tolerance"
_NAMED = re.compile(r"\b(MODEL|VERSION|ID|PIPELINE|PIPELINE_VERSION)\b")


def remedy(error: HeadraceError, model: str = "", job: str = "", version: str = "") -> str:
    """Return what to do about an error, in a sentence; empty when its reason is none that is known.

    model, version: that were spoken of, for errors that name none. job: the number of that which was.
    A command of a part that is not installed says how to add it.
    """
    text = _of_error(error, model, job, version)
    return "; ".join(filter(None, (text, parts.to_add(text))))


def _of_error(error: HeadraceError, model: str, job: str, version: str) -> str:
    version = error.metadata.get("version") or version
    if error.reason == "PROMOTION_GATE_FAILED" and any(one.field == _GAME_DAY for one in error.violations):
        return without_game_day(model or "MODEL", version or "VERSION")
    if error.reason == "PROMOTION_GATE_FAILED" and any(one.field == _OUTPUTS_HOLD for one in error.violations):
        return f"{_BY_REASON['OUTPUTS_DIFFER']} with a version registered again"
    if error.reason == "PROMOTION_GATE_FAILED" and (missing := error.metadata.get("missing")):
        return without_metrics(model or "MODEL", version or "VERSION", missing.split(","))
    if error.reason in _BY_REASON:
        names = {"MODEL": error.metadata.get("model") or model, "VERSION": version, "ID": job}
        _, pipeline, pipeline_version, *_ = (*error.metadata.get("holder", "").split("/"), "", "", "")
        names |= {"PIPELINE": pipeline, "PIPELINE_VERSION": pipeline_version}
        return _NAMED.sub(lambda found: shlex.quote(names[found[0]] or found[0]), _BY_REASON[error.reason])
    if error.code is grpc.StatusCode.UNAVAILABLE and error.reason:
        return _UNAVAILABLE_BEHIND
    return ""


def without_game_day(model: str, version: str) -> str:
    """Return what to type for a version whose fallbacks were not tried, or did not hold."""
    named = shlex.quote(f"{model}@{version}")
    return (
        f"`headrace game-day {named}` tries the fallbacks of the route in staging; what else its "
        f"gates ask for, `headrace models gates {shlex.quote(model)}` shows"
    )


def without_metrics(model: str, version: str, missing: Sequence[str]) -> str:
    """Return what to type for a version that lacks metrics which the gates of its model ask for."""
    given = " ".join(f"--metric {shlex.quote(name)}=VALUE" for name in missing)
    return (
        f"the gates of {model} ask for {' and '.join(missing)}, which {version} does not have. With what you measured, "
        f"under another name, for versions never change:\n"
        f"            headrace models register {model} NEW_VERSION MODEL.onnx {given}\n"
        f"          or without gates:\n"
        f"            headrace models gates {model} --none\n"
        f"            headrace models promote {model} {version}"
    )
