-- Look at the account's hold.
--
-- KEYS  1 account  hash, see grant.lua
-- ARGV  1 now in us (0: this server's clock)
-- Reply {} when there is none, else {code, us since it began, us until the next probe, failed probes}

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local state = redis.call('HMGET', KEYS[1], 'code', 'since', 'probe_at', 'lease', 'probes')
if not state[1] then return {} end
local opens = math.max(tonumber(state[3]), tonumber(state[4] or 0))
return {state[1], math.max(0, now - tonumber(state[2])), math.max(0, opens - now), tonumber(state[5])}
