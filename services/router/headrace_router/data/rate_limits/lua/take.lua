-- Takes tokens from buckets, by the clock of this server: the rule of `decisions/bucket.py`.
-- KEYS: of each bucket. ARGV: of each the tokens that come in a second, those that it holds, those that are wanted.
-- Returns of each the tokens that there were, and the microseconds until there is one again.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local taken = {}
for i = 1, #KEYS do
  local per_us, burst, wanted = ARGV[3 * i - 2] / 1000000, tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local full_at = tonumber(redis.call('GET', KEYS[i]) or '') or 0
  local begins = math.min(math.max(full_at, now), now + burst / per_us)
  local tokens = math.max(0, math.min(wanted, math.floor(burst - (begins - now) * per_us + 0.000001)))
  full_at = begins + tokens / per_us
  if full_at > now then
    local keep_ms = string.format('%d', math.ceil((full_at - now) / 1000) + 1000)
    redis.call('SET', KEYS[i], string.format('%.3f', full_at), 'PX', keep_ms)
  end
  taken[2 * i - 1] = tokens
  taken[2 * i] = math.max(0, math.ceil(full_at - now - (burst - 1) / per_us))
end
return taken
