-- What every script of ours that reads JSON has before it: its words, each read strictly, as RFC 8259 has them.

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

local function fail(field, description)
  error({ field = field, description = description }, 0)
end

local function malformed(text, position, wanted)
  local _, lines = text:sub(1, position - 1):gsub("\n", "")
  fail("", string.format("malformed JSON at byte %d (line %d): %s expected", position, lines + 1, wanted))
end

local function skip(text, position)
  return text:find("[^ \t\r\n]", position) or #text + 1
end

-- Returns the raw text of the string that begins at `position` and the position behind it.
local function scan_string(text, position)
  local from = position + 1
  while true do
    local at = text:find('["\\%z\1-\31]', from)
    local byte = at and text:sub(at, at)
    if byte == '"' then
      return text:sub(position + 1, at - 1), at + 1
    end
    if byte ~= "\\" then
      malformed(text, at or #text + 1, "end of a string")
    end
    if not (text:find('^["\\/bfnrt]', at + 1) or text:find("^u%x%x%x%x", at + 1)) then
      malformed(text, at, "an escape")
    end
    from = at + 2
  end
end

-- Returns a character in UTF-8.
local function character(code)
  if code < 0x80 then
    return string.char(code)
  elseif code < 0x800 then
    return string.char(0xC0 + math.floor(code / 0x40), 0x80 + code % 0x40)
  elseif code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 0x1000), 0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  end
  return string.char(0xF0 + math.floor(code / 0x40000), 0x80 + math.floor(code / 0x1000) % 0x40,
    0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
end

-- Returns the text that the raw text of a string stands for.
local function unescape(raw)
  if not raw:find("\\", 1, true) then
    return raw
  end
  local kept, from = {}, 1
  while true do
    local at = raw:find("\\", from, true)
    kept[#kept + 1] = raw:sub(from, (at or 0) - 1)
    if at == nil then
      return table.concat(kept)
    end
    local short = ESCAPES[raw:sub(at + 1, at + 1)]
    from = at + (short and 2 or 6)
    if short == nil then
      local code = tonumber(raw:sub(at + 2, at + 5), 16)
      if code >= 0xD800 and code < 0xE000 then
        local low = tonumber(raw:match("^\\u(%x%x%x%x)", from) or "0", 16)
        if code >= 0xDC00 or low < 0xDC00 or low >= 0xE000 then
          fail("", "malformed JSON: half a character is escaped")
        end
        code, from = 0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00, from + 6
      end
      short = character(code)
    end
    kept[#kept + 1] = short
  end
end

-- Returns the position behind the number that begins at `position`.
local function scan_number(text, position)
  local _, last = text:find("^%-?%d+", position)
  if last == nil or text:find("^%-?0%d", position) then
    malformed(text, position, "a value")
  end
  local _, fraction = text:find("^%.%d+", last + 1)
  last = fraction or last
  local _, exponent = text:find("^[eE][+-]?%d+", last + 1)
  return (exponent or last) + 1
end
