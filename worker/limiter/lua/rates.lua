-- What refused calls have taught of each operation's rate.
--
-- KEYS  rate of each operation, see grant.lua
-- ARGV  1 now in us (0: this server's clock)  2 and so on: rate of each operation
-- Reply for each operation its calls per window now, as text

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local rates = {}
for i, key in ipairs(KEYS) do
  local state = redis.call('HMGET', key, 'learned', 'used', 'refused_at')
  local rate = rate_now(tonumber(state[1]), tonumber(state[2]), tonumber(state[3]), tonumber(ARGV[i + 1]), now)
  rates[i] = string.format('%.17g', rate)
end
return rates
