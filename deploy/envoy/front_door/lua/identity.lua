-- Runs behind the token check: turns verified claims into the identity headers that services believe, and keeps
-- what outsiders may only ask for (trace, request id, deadline) within its form and bounds.
--
-- token.lua stands before this text, and so does OPEN, the paths besides health that need no token, which is generated.

local HEALTH = "/grpc.health.v1.Health/"
local MILLISECONDS = { H = 3600000, M = 60000, S = 1000, m = 1, u = 0.001, n = 0.000001 }

local function well_formed_trace(value)
  local version, trace, parent, flags = value:match("^(%x%x)%-(%x+)%-(%x+)%-(%x%x)$")
  return version ~= nil and version ~= "ff" and #trace == 32 and #parent == 16 and flags ~= nil
    and value == value:lower() and trace:find("[^0]") ~= nil and parent:find("[^0]") ~= nil
end

local function keep_trace(headers)
  local trace = headers:get("traceparent")
  if trace == nil or not well_formed_trace(trace) then
    headers:remove("traceparent")
    headers:remove("tracestate")
  end
end

local function keep_request_id(headers)
  local id = headers:get("x-request-id")
  if id ~= nil and (#id > 128 or id:find("[^%w%-_.:]")) then
    headers:remove("x-request-id")
  end
end

-- The service sees a deadline whether the caller named one or not; a moment later than ours, which ends the call first.
local function keep_deadline(headers, longest_ms)
  local given = headers:get("grpc-timeout")
  local amount, unit = (given or ""):match("^(%d+)([HMSmun])$")
  if amount ~= nil and #amount <= 8 then
    if longest_ms == nil or tonumber(amount) * MILLISECONDS[unit] <= longest_ms then
      return
    end
  elseif given ~= nil then
    headers:remove("grpc-timeout")
  end
  if longest_ms ~= nil then
    headers:replace("grpc-timeout", string.format("%dm", longest_ms))
  end
end

local function refuse(handle, status)
  handle:respond({ [":status"] = status }, "")
end

local function identify(handle)
  local headers = handle:headers()
  keep_trace(headers)
  keep_request_id(headers)
  keep_deadline(headers, handle:metadata():get("longest_ms"))

  local verified = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn")
  if verified == nil or verified.claims == nil then
    local path = headers:get(":path"):match("^[^?#]*")
    if path:sub(1, #HEALTH) ~= HEALTH and OPEN[path] == nil then
      refuse(handle, MISSING)
    end
    return
  end

  local authorization = headers:get("authorization")
  local verdict = authorization and verdict_of(authorization) or { refused = MISSING }
  -- What was judged here is what the token check has verified.
  if verdict.refused == nil and verdict.client ~= verified.claims.sub then
    verdict = { refused = INVALID }
  end
  if verdict.refused ~= nil then
    refuse(handle, verdict.refused)
    return
  end
  headers:replace("x-headrace-client", verdict.client)
  headers:replace("x-headrace-models", verdict.models)
  -- Services end streams then.
  headers:replace("x-headrace-token-expiry", verdict.expiry)
end

-- Envoy passes a request on when its script fails: this one ends it instead.
function envoy_on_request(handle)
  local fine, problem = pcall(identify, handle)
  if not fine then
    handle:logErr(string.format("the identity script failed: %s", tostring(problem)))
    refuse(handle, INVALID)
  end
end
