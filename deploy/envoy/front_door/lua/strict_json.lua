-- Runs before the transcoder, which drops fields that it does not know: a misspelt field must not become a default.
--
-- json.lua stands before this text, and so do MESSAGES and BINDINGS, which are generated.
--   MESSAGES[message][field] is the message type to look into, "" for a field that is not looked into
--   BINDINGS is a list of { verb, pattern of the path, message of the body or "" when it takes none }

local DEPTH = 64

local scan

local function scan_object(text, position, schema, path, depth, seen_as_map)
  local seen = {}
  position = skip(text, position + 1)
  if text:sub(position, position) == "}" then
    return position + 1
  end
  while true do
    if text:sub(position, position) ~= '"' then
      malformed(text, position, "a field's name")
    end
    local raw, after = scan_string(text, position)
    local name = unescape(raw)
    local field = path == "" and name or path .. "." .. name
    if seen[name] then
      fail(field, "given twice")
    end
    seen[name] = true
    local inner = seen_as_map
    if schema ~= nil then
      inner = schema[name]
      if inner == nil then
        fail(field, "unknown field")
      end
    end
    position = skip(text, after)
    if text:sub(position, position) ~= ":" then
      malformed(text, position, "':'")
    end
    position = skip(text, scan(text, skip(text, position + 1), inner or "", field, depth))
    local byte = text:sub(position, position)
    if byte == "}" then
      return position + 1
    end
    if byte ~= "," then
      malformed(text, position, "',' or '}'")
    end
    position = skip(text, position + 1)
  end
end

local function scan_array(text, position, kind, path, depth)
  position = skip(text, position + 1)
  if text:sub(position, position) == "]" then
    return position + 1
  end
  local index = 0
  while true do
    position = skip(text, scan(text, position, kind, string.format("%s[%d]", path, index), depth))
    local byte = text:sub(position, position)
    if byte == "]" then
      return position + 1
    end
    if byte ~= "," then
      malformed(text, position, "',' or ']'")
    end
    position = skip(text, position + 1)
    index = index + 1
  end
end

-- kind: the message that an object here must be, "map MESSAGE" for a map with such values, "" for anything.
function scan(text, position, kind, path, depth)
  if depth > DEPTH then
    fail(path, string.format("nested deeper than %d", DEPTH))
  end
  local byte = text:sub(position, position)
  if byte == "{" then
    local values = kind:match("^map (.*)$")
    return scan_object(text, position, not values and MESSAGES[kind] or nil, path, depth + 1, values)
  elseif byte == "[" then
    return scan_array(text, position, kind, path, depth + 1)
  elseif byte == '"' then
    local _, after = scan_string(text, position)
    return after
  end
  for _, word in ipairs({ "true", "false", "null" }) do
    if text:sub(position, position + #word - 1) == word then
      return position + #word
    end
  end
  return scan_number(text, position)
end

-- Returns nil, or the field (empty for the body as a whole) and what is wrong with it.
local function check(text, message)
  local fine, problem = pcall(function()
    local start = skip(text, 1)
    if start > #text then
      return
    end
    if text:sub(start, start) ~= "{" then
      malformed(text, start, "an object")
    end
    local after = skip(text, scan(text, start, message, "", 0))
    if after <= #text then
      malformed(text, after, "the end")
    end
  end)
  if fine then
    return nil
  end
  if type(problem) ~= "table" then
    return "", "the body cannot be read"
  end
  return problem.field, problem.description
end

-- Second bytes that a first byte of UTF-8 does not go with: what they would write has a shorter form or is no character.
local IMPOSSIBLE = { [224] = "[\128-\159]", [237] = "[\160-\191]", [240] = "[\128-\143]", [244] = "[\144-\191]" }

-- Returns a run of bytes beyond ASCII with U+FFFD in place of whatever is not a whole character.
local function characters(run)
  local kept, at = {}, 1
  while at <= #run do
    local first = run:byte(at)
    local size = first > 244 and 0 or first >= 240 and 4 or first >= 224 and 3 or first >= 194 and 2 or 0
    local rest = run:sub(at + 1, at + size - 1)
    if size > 0 and rest:find("^[\128-\191]+$") and #rest == size - 1
      and not (IMPOSSIBLE[first] and rest:find("^" .. IMPOSSIBLE[first])) then
      kept[#kept + 1] = run:sub(at, at + size - 1)
      at = at + size
    else
      kept[#kept + 1] = "\239\191\189"
      at = at + 1
    end
  end
  return table.concat(kept)
end

local function quote(text)
  local escaped = text:sub(1, 300):gsub("[\128-\255]+", characters):gsub('[%c"\\]', function(byte)
    return string.format("\\u%04x", byte:byte())
  end)
  return '"' .. escaped .. '"'
end

local function answer(field, description)
  local message = field == "" and description or string.format("%s: %s", field, description)
  return string.format(
    '{"code":3,"message":%s,"details":['
      .. '{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"INVALID_JSON","domain":"headrace.dev"},'
      .. '{"@type":"type.googleapis.com/google.rpc.BadRequest","field_violations":[{"field":%s,"description":%s}]}]}',
    quote(message), quote(field), quote(description)
  )
end

-- Returns nil for a path that no method has. No name has a colon, so an unknown verb must not become part of one.
local function message_of(verb, path)
  path = path:match("^[^?#]*")
  for _, binding in ipairs(BINDINGS) do
    if binding[1] == verb and path:find(binding[2]) then
      return binding[3]
    end
  end
  return nil
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local message = message_of(headers:get(":method"), headers:get(":path"))
  if message == nil then
    handle:respond({ [":status"] = "404" }, "")
    return
  end
  local body = message ~= "" and handle:body() or nil
  if body == nil then
    return
  end
  local field, description = check(body:getBytes(0, body:length()), message)
  if field ~= nil then
    handle:respond({ [":status"] = "400", ["content-type"] = "application/json" }, answer(field, description))
  end
end
