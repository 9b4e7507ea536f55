"""What callers get where a part of the product is not installed: UNIMPLEMENTED, with its name and how it is added.

It needs no token: there is no service to protect, and a caller of a part that is absent may have a token without its
scopes.
"""

from __future__ import annotations

from headrace_servicekit.errors import Code, error_for

from front_door import offered
from front_door.errors import Rule
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json

REASON = "PART_NOT_INSTALLED"
_STATUS = 501


def routes(settings: FrontDoorSettings, unguarded: Json) -> list[Json]:
    """Return the routes of what these parts would answer. unguarded: filters that are off on them."""
    return [
        {
            "name": f"absent-{part}",
            "match": {"prefix": f"{path}/"} if path[1:] in offered.services() else {"path_separated_prefix": path},
            "direct_response": {"status": _STATUS},
            "typed_per_filter_config": unguarded,
        }
        for part, paths in _paths(settings).items()
        for path in paths
    ]


def rules(settings: FrontDoorSettings) -> tuple[Rule, ...]:
    """Return what those routes answer."""
    return tuple(_rule(settings, part, paths) for part, paths in _paths(settings).items())


def _rule(settings: FrontDoorSettings, part: str, paths: list[str]) -> Rule:
    below = " || ".join(f"request.url_path.startsWith('{path}')" for path in paths)
    command = f"make up PARTS={','.join((*settings.parts, part))}"
    return Rule(
        f"response.code == {_STATUS} && response.code_details == 'direct_response' && ({below})",
        error_for(
            Code.UNIMPLEMENTED,
            f"the part '{part}' is not installed here; add it with `{command}`",
            reason=REASON,
            metadata={"part": part, "add": command},
        ),
    )


def _paths(settings: FrontDoorSettings) -> dict[str, list[str]]:
    """Return what each part that is not installed would answer: `/package.Service` of its APIs, and its pages."""
    found: dict[str, list[str]] = {}
    answered = {**{f"/{api}": name for api, name in offered.services().items()}, **offered.pages()}
    for path, name in answered.items():
        if not settings.has(name):
            found.setdefault(offered.parts()[name], []).append(path)
    return found
