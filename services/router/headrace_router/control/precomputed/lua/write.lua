-- Adds rows to an open publish, if they are the next ones, and counts them.
-- KEYS: progress, then the key of each distinct entity. ARGV: first row, number of rows, bytes of keys and entries, then the
-- entry of each key. Returns {status, rows}: 1 written, 0 not the next rows, -1 no such publish here, -2 closed.
local known = redis.call('HMGET', KEYS[1], 'rows', 'closed')
if not known[1] then return {-1, 0} end
local rows = tonumber(known[1])
if known[2] then return {-2, rows} end
if tonumber(ARGV[1]) ~= rows then return {0, rows} end
local entities, bytes = #KEYS - 1, tonumber(ARGV[3])
if redis.call('EXISTS', unpack(KEYS, 2)) > 0 then
  -- Some entities came before: only what they gain counts.
  for i = 2, #KEYS do
    local before = redis.call('STRLEN', KEYS[i])
    if before > 0 then
      entities = entities - 1
      bytes = bytes - #KEYS[i] - before
    end
  end
end
local pairs = {}
for i = 2, #KEYS do
  pairs[2 * i - 3] = KEYS[i]
  pairs[2 * i - 2] = ARGV[i + 2]
end
redis.call('MSET', unpack(pairs))
redis.call('HINCRBY', KEYS[1], 'entities', entities)
redis.call('HINCRBY', KEYS[1], 'bytes', bytes)
rows = rows + tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'rows', rows)
return {1, rows}
