-- Judges tokens whose signature, issuer and times the token check has found good, by the rest of the rules of
-- docs/tokens.md: Envoy's own reading of a token is laxer than the data plane's, and a token must not mean two things.
--
-- json.lua stands before this text, and so do AUDIENCE and MOST_TOKEN_BYTES, which are generated.

local DEPTH = 32
local LATEST = 2 ^ 53
-- Tokens of which the verdict is remembered: it never changes.
local MOST_KNOWN = 1000
-- What stands for null, for no value of Lua's may be in its place.
local NULL = {}
-- Statuses by which the front door's errors tell the reasons apart (errors.py).
local INVALID, ELSEWHERE, MISSING = "401", "403", "407"

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local SIXTH = {}
for place = 1, #ALPHABET do
  SIXTH[ALPHABET:byte(place)] = place - 1
end

-- Returns the bytes that base64url stands for, nil unless it is the one way to write them.
local function decoded(text)
  local bits, held, bytes = 0, 0, {}
  for place = 1, #text do
    held = held * 64 + SIXTH[text:byte(place)]
    bits = bits + 6
    if bits >= 8 then
      bits = bits - 8
      bytes[#bytes + 1] = string.char(math.floor(held / 2 ^ bits))
      held = held % 2 ^ bits
    end
  end
  return bits < 6 and held == 0 and table.concat(bytes) or nil
end

local value

-- Reads what stands between two brackets. one: reads a member at a position, and returns the position behind it.
local function members(text, position, last, one)
  position = skip(text, position + 1)
  if text:sub(position, position) == last then
    return position + 1
  end
  while true do
    position = skip(text, one(position))
    local byte = text:sub(position, position)
    if byte == last then
      return position + 1
    end
    if byte ~= "," then
      malformed(text, position, "',' or the end")
    end
    position = skip(text, position + 1)
  end
end

local function object(text, position, depth)
  local found = {}
  local after = members(text, position, "}", function(at)
    if text:sub(at, at) ~= '"' then
      malformed(text, at, "a name")
    end
    local raw, behind = scan_string(text, at)
    local name = unescape(raw)
    if found[name] ~= nil then
      fail(name, "given twice")
    end
    behind = skip(text, behind)
    if text:sub(behind, behind) ~= ":" then
      malformed(text, behind, "':'")
    end
    found[name], behind = value(text, skip(text, behind + 1), depth)
    return behind
  end)
  return { members = found }, after
end

local function list(text, position, depth)
  local items, count = {}, 0
  local after = members(text, position, "]", function(at)
    local item, behind = value(text, at, depth)
    count = count + 1
    items[count] = item
    return behind
  end)
  return { items = items, count = count }, after
end

-- Returns the value that begins at `position`, and the position behind it. Objects have `members`, lists `items`.
function value(text, position, depth)
  if depth > DEPTH then
    fail("", "nested too deep")
  end
  local byte = text:sub(position, position)
  if byte == "{" then
    return object(text, position, depth + 1)
  elseif byte == "[" then
    return list(text, position, depth + 1)
  elseif byte == '"' then
    local raw, after = scan_string(text, position)
    return unescape(raw), after
  elseif text:sub(position, position + 3) == "true" then
    return true, position + 4
  elseif text:sub(position, position + 4) == "false" then
    return false, position + 5
  elseif text:sub(position, position + 3) == "null" then
    return NULL, position + 4
  end
  local after = scan_number(text, position)
  local number = tonumber(text:sub(position, after - 1))
  if math.abs(number) == math.huge then
    malformed(text, position, "a number within bounds")
  end
  return number, after
end

-- Returns the members of the object that a part of a token is. Raises for anything else.
local function read(part)
  local text = decoded(part)
  if text == nil then
    fail("", "not base64url")
  end
  local found, after = value(text, skip(text, 1), 0)
  if type(found) ~= "table" or found.members == nil or skip(text, after) <= #text then
    fail("", "not one object")
  end
  return found.members
end

local function is_time(claim, least)
  return type(claim) == "number" and claim >= least and claim <= LATEST
end

-- Returns whether a claim is a list of texts that each have a pattern.
local function is_list(claim, pattern)
  if type(claim) ~= "table" or claim.items == nil then
    return false
  end
  for place = 1, claim.count do
    local item = claim.items[place]
    if type(item) ~= "string" or not item:find(pattern) then
      return false
    end
  end
  return true
end

-- Returns nil when a token is for us, else why not.
local function elsewhere(audience)
  if audience == nil then
    return ELSEWHERE
  end
  local named = audience
  if type(audience) == "string" then
    named = { items = { audience }, count = 1 }
  end
  if not is_list(named, "") then
    return INVALID
  end
  for place = 1, named.count do
    if named.items[place] == AUDIENCE then
      return nil
    end
  end
  return ELSEWHERE
end

local function by_rules(said, claims)
  local kid, jti, subject, models = said.kid, claims.jti, claims.sub, claims.models
  local fine = said.crit == nil and (kid == nil or type(kid) == "string" and kid ~= "")
    and is_time(claims.exp, 1)
    and (claims.nbf == nil or is_time(claims.nbf, 0))
    and (claims.iat == nil or is_time(claims.iat, 0))
    and (jti == nil or type(jti) == "string")
    -- A call without a client would be nobody's.
    and type(subject) == "string" and #subject > 0 and #subject <= 256 and not subject:find("[^%g ]")
    and (models == nil or is_list(models, "^[%w%-_.*]+$"))
  local refused = not fine and INVALID or elsewhere(claims.aud)
  if refused then
    return { refused = refused }
  end
  local patterns = "*"
  if models ~= nil then
    -- A lone comma is a list without patterns: the caller sees no model.
    patterns = models.count > 0 and table.concat(models.items, ",") or ","
  end
  return { client = subject, models = patterns, expiry = string.format("%d", claims.exp + SKEW_S) }
end

local function judge(authorization)
  -- Some clients of HTTP/2 send the space that belongs to HTTP/1.1's way of writing headers.
  local token = authorization:match("^%s*[Bb]earer (.-)%s*$")
  if token == nil then
    return { refused = MISSING }
  end
  local header, payload, signature = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
  if header == nil or #token > MOST_TOKEN_BYTES or decoded(signature) == nil then
    return { refused = INVALID }
  end
  return by_rules(read(header), read(payload))
end

local known, known_count = {}, 0

-- Returns what an authorization header says: `refused`, or the identity headers' values.
local function verdict_of(authorization)
  local verdict = known[authorization]
  if verdict == nil then
    local fine, found = pcall(judge, authorization)
    verdict = fine and found or { refused = INVALID }
    if known_count >= MOST_KNOWN then
      known, known_count = {}, 0
    end
    known[authorization], known_count = verdict, known_count + 1
  end
  return verdict
end
