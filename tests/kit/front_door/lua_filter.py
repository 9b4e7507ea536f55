"""Runs the front door's identity script in a Lua of the kind that Envoy has, with a handle like Envoy's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lupa import luajit21

# As Envoy does it: an answer ends the script where it stands, and a script that fails lets the request pass.
_RUN = """
function(headers, verified, fails)
  local answer = ""
  local pairs_of = {
    get = function(_, name) if name == fails then error("as if by a defect") end return headers[name] end,
    remove = function(_, name) headers[name] = nil end,
    replace = function(_, name, value) headers[name] = value end,
  }
  local function got(value) return { get = function() return value end } end
  local handle = {
    headers = function() return pairs_of end,
    metadata = function() return got(nil) end,
    streamInfo = function() return { dynamicMetadata = function() return got(verified) end } end,
    respond = function(_, said) answer = said[":status"] coroutine.yield() end,
    logErr = function() end,
  }
  coroutine.resume(coroutine.create(envoy_on_request), handle)
  return answer
end
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request. answer: the status that it was ended with, empty when it went on."""

    answer: str
    headers: Mapping[str, str]

    @property
    def identity(self) -> tuple[str | None, str | None]:
        """Return the client and the models that a service would see."""
        return self.headers.get("x-headrace-client"), self.headers.get("x-headrace-models")


class LuaFilter:
    """The script, loaded once as a worker of Envoy loads it."""

    def __init__(self, script: str) -> None:
        self._lua: Any = luajit21.LuaRuntime()
        self._lua.execute(script)
        self._run = self._lua.eval(_RUN)

    def serve(self, headers: Mapping[str, str], claims: Any = None, *, fails: str | None = None) -> Outcome:
        """Run it on a request. claims: those that the token check verified, None when it verified none.

        fails: the header at which the script meets a defect.
        """
        given = self._lua.table_from(dict(headers))
        verified = None if claims is None else self._lua.table_from({"claims": self._as_envoy_has_it(claims)})
        answer = self._run(given, verified, fails)
        return Outcome(answer, dict(given.items()))

    def _as_envoy_has_it(self, value: Any) -> Any:
        """Return a value as Envoy gives it to scripts, where null is nothing: a list has a hole there."""
        if isinstance(value, dict):
            return self._lua.table_from({k: self._as_envoy_has_it(v) for k, v in value.items() if v is not None})
        if isinstance(value, list):
            items = {n: self._as_envoy_has_it(v) for n, v in enumerate(value, 1) if v is not None}
            return self._lua.table_from(items)
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
