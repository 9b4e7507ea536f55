-- Closes a publish that has as many rows as expected, and writes its marker. Repeating it is safe.
-- KEYS: progress, marker. ARGV: rows expected. Returns {status, rows, entities, bytes}: 1 sealed, 0 other rows, -1 unknown.
local known = redis.call('HMGET', KEYS[1], 'rows', 'entities', 'bytes')
if not known[1] then return {-1, 0, 0, 0} end
local rows, entities, bytes = tonumber(known[1]), tonumber(known[2]), tonumber(known[3])
if rows ~= tonumber(ARGV[1]) then return {0, rows, entities, bytes} end
redis.call('HSET', KEYS[1], 'closed', 1)
redis.call('SET', KEYS[2], entities)
return {1, rows, entities, bytes}
