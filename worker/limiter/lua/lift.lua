-- End a hold, or forget the refusals that might have led to one.
--
-- KEYS  1 hold  2 index  (see hold_state.lua)
-- ARGV  1 now in us (0: this server's clock)  2 name
--       3 why: 'operator' releases it | 'probe' was accepted | 'call' was accepted, perhaps one from before the hold
--       4 us in which the rate climbs back afterwards (0: at once)
-- Reply {} when no hold has ended, else the hold as it is told

local now, why, ramp = clock(ARGV[1]), ARGV[3], tonumber(ARGV[4])
local hold = read_hold(KEYS[1], now)
if not hold then
  if redis.call('HDEL', KEYS[1], 'failures') == 1 then redis.call('SREM', KEYS[2], ARGV[2]) end
  return {}
end
if why == 'call' or why == 'probe' and hold.by == 'operator' then return {} end

redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[2])
if ramp > 0 then
  redis.call('HSET', KEYS[1], 'ramp_from', now, 'ramp_until', now + ramp)
  redis.call('PEXPIRE', KEYS[1], math.ceil(ramp / 1000))
end
return told(hold, now)
