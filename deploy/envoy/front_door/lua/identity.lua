-- Runs behind the token check: turns verified claims into the identity headers that services believe, and keeps
-- what outsiders may only ask for (trace, request id, deadline) within its form and bounds.
--
-- OPEN, the paths besides health that need no token, and SKEW_S, the difference between our clock and the issuer's, are
-- generated before this text.

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

-- Returns the patterns with commas between, or nil when the claim is not a list of patterns.
local function patterns(models)
  if models == nil then
    return "*"
  end
  if type(models) ~= "table" then
    return nil
  end
  local count = 0
  for _ in pairs(models) do
    count = count + 1
  end
  for place = 1, count do
    local pattern = models[place]
    if type(pattern) ~= "string" or not pattern:match("^[%w%-_.*]+$") then
      return nil
    end
  end
  -- A lone comma is a list without patterns: the caller sees no model.
  return count > 0 and table.concat(models, ",") or ","
end

local function refuse(handle, why)
  handle:respond({ [":status"] = "401" }, why)
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
      refuse(handle, "a token is required")
    end
    return
  end

  -- A call without a client is taken for one of our own services, so a token without a subject must not pass.
  local subject = verified.claims.sub
  if type(subject) ~= "string" or #subject == 0 or #subject > 256 or subject:find("[^%g ]") then
    refuse(handle, "the token's subject must be 1 to 256 printable ASCII characters")
    return
  end
  local models = patterns(verified.claims.models)
  if models == nil then
    refuse(handle, "the token's models must be a list of patterns of letters, digits, '-', '_', '.' and '*'")
    return
  end
  headers:replace("x-headrace-client", subject)
  headers:replace("x-headrace-models", models)
  -- What the token check has seen to be a number: services end streams then.
  headers:replace("x-headrace-token-expiry", string.format("%d", verified.claims.exp + SKEW_S))
end

-- Envoy passes a request on when its script fails: this one ends it instead.
function envoy_on_request(handle)
  local fine, problem = pcall(identify, handle)
  if not fine then
    handle:logErr(string.format("the identity script failed: %s", tostring(problem)))
    refuse(handle, "the token cannot be read")
  end
end
