"""Every setting of every service says what it means and what it counts in."""

import json

from headrace_servicekit.described import Described, described

from tests.kit.deployment import topology
from tests.kit.rows import each

CLASSES = sorted({each for service in topology.services().values() for each in topology.settings_of(service)}, key=str)
EVERY = [one for settings in CLASSES for one in described(settings)]


@each("setting", EVERY)
def test_it_has_a_meaning_and_a_number_has_a_unit(setting: Described):
    assert setting.meaning.endswith(".")
    assert bool(setting.unit) == (setting.kind == "number")


def test_no_two_settings_have_one_name():
    names = [one.variable for one in EVERY]
    assert len(names) == len(set(names))


def test_the_list_for_programs_holds_them_all():
    told = json.loads((topology.CHECKOUT / "deploy" / "settings.json").read_text(encoding="utf-8"))
    listed = {one["variable"]: one for each in told for one in each["settings"]}
    assert {one.variable for one in EVERY} <= set(listed)
    assert all(bool(one["unit"]) == (one["kind"] == "number") for one in listed.values())
