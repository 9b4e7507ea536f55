import re

import pytest
from front_door import strict_json
from front_door.api import Api


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("/v1/models", "^/v1/models$"),
        ("/v1/{name=models/*}", "^/v1/models/[^/:]+$"),
        ("/v1/{name=models/*}:rollback", "^/v1/models/[^/:]+:rollback$"),
        ("/v1/{version.name=models/*/versions/*}", "^/v1/models/[^/:]+/versions/[^/:]+$"),
        ("/v1/{name}", "^/v1/[^/:]+$"),
        ("/v1/data-sets/{name=**}", "^/v1/data%-sets/.+$"),
    ],
)
def test_a_template_becomes_the_pattern_of_its_paths(template: str, pattern: str):
    assert strict_json.lua_pattern(template) == pattern


def test_every_rest_path_is_there_and_no_request_fits_two(api: Api):
    patterns = re.findall(r'\{"([A-Z]+)","(\^[^"]*\$)","[^"]*"}', strict_json.script(api))
    bindings = [(binding.verb, binding.template) for method in api.public for binding in method.rest]
    assert len(patterns) == len(bindings)
    for verb, template in bindings:
        path = re.sub(r"\{[^=}]*=?([^}]*)}", r"\1", template).replace("*", "name")
        # These patterns mean the same in Lua and in Python, but for how a character is taken as it is.
        fitting = [
            other for other, pattern in patterns if other == verb and re.search(pattern.replace("%", "\\"), path)
        ]
        assert len(fitting) == 1, path


def test_both_names_of_a_field_are_known_and_messages_are_looked_into(api: Api):
    script = strict_json.script(api)
    table = re.search(r'\["headrace\.registry\.v1\.Model"]=\{([^}]*)}', script)
    assert table is not None
    assert '["promotion_policy"]="headrace.registry.v1.PromotionPolicy"' in table.group(1)
    assert '["promotionPolicy"]="headrace.registry.v1.PromotionPolicy"' in table.group(1)
    assert '["labels"]=""' in table.group(1)
    assert '["create_time"]=""' in table.group(1)


def test_responses_are_not_in_the_tables(api: Api):
    assert "GetModelResponse" not in strict_json.script(api)
