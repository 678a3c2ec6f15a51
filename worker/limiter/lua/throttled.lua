-- The provider throttled a call: pause everybody, and slow the quota down when it was not the first within a second.
-- The arithmetic is that of core/limits/token_bucket.py; the factor climbs back by itself (grant.lua).
--
-- KEYS  1 rate  hash, see grant.lua
-- ARGV  1 now in us (0: this server's clock)  2 pause us
-- Reply 'COLD' when the state is missing, else the factor in thousandths

local SPAN, CUT, LEAST, RECOVERY = 1000000, 0.9, 0.1, 60000000

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local state = redis.call('HMGET', KEYS[1], 'hold', 'factor', 'factor_at', 'throttled_at')
if not state[1] then return 'COLD' end
local hold, before = tonumber(state[1]), tonumber(state[4])
local factor, factor_at = 1, tonumber(state[3])
if factor_at then factor = math.min(1, tonumber(state[2]) + math.max(0, now - factor_at) / RECOVERY) end

redis.call('HSET', KEYS[1], 'hold', math.max(hold, now + tonumber(ARGV[2])), 'throttled_at', now)
if before and now - before <= SPAN and not (factor_at and now - factor_at < SPAN) then
  factor = math.max(LEAST, factor * CUT)
  redis.call('HSET', KEYS[1], 'factor', factor, 'factor_at', now)
end
return math.floor(factor * 1000)
