-- The provider refused a call because of its limit: learn from it, as `after_refusal` of core/limits/learned.py does,
-- and pause until what was too much has left the provider's second, or for as long as the provider asks.
--
-- KEYS  1 rate       hash, see grant.lua
--       2 throttles  hash: second -> calls refused in it; of the last minute, for whoever looks
-- ARGV  1 now in us (0: this server's clock)  2 rate (0: no limit)  3 least pause us
-- Reply 'COLD' when the state is missing, else the rate in thousandths of a call

local EVENT, AGAIN, CUT = 300000, 1000000, 0.97
local LEAST_CALLS, LEAST_PART = 1, 0.8
local MINUTE = 60

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local second = math.floor(now / 1000000)
make_room(KEYS[2], 'hash')
if redis.call('HINCRBY', KEYS[2], second, 1) == 1 then
  local counted = redis.call('HGETALL', KEYS[2])
  for i = 1, #counted, 2 do
    local age = second - (tonumber(counted[i]) or 0)
    if age < 0 or age >= MINUTE then redis.call('HDEL', KEYS[2], counted[i]) end -- the clock may have been set back
  end
  redis.call('PEXPIRE', KEYS[2], (MINUTE + 1) * 1000)
end

local rate = tonumber(ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'hold', 'last', 'learned', 'used', 'refused_at',
  'event_at', 'event_until', 'refused', 'good')
if not state[1] then return 'COLD' end
local hold = math.max(tonumber(state[1]), now + tonumber(ARGV[3]))
if rate == 0 then
  redis.call('HSET', KEYS[1], 'hold', hold)
  return 0
end
local base, used, refused_at = tonumber(state[3]), tonumber(state[4]), tonumber(state[5])
local event_at, event_until, refused = tonumber(state[6]), tonumber(state[7]), tonumber(state[8])

if base and now < event_until then
  redis.call('HSET', KEYS[1], 'hold', hold, 'refused_at', now, 'refused', refused + 1)
  return math.floor(rate_now(base, used, now, rate, now) * 1000)
end

local was, good = rate_now(base, used, refused_at, rate, now), 0
local left = was * CUT
if base and now < event_until + AGAIN then
  local shown = was - (refused - 1) / (now - event_at) * 1000000
  left = math.min(left, math.max(shown, (tonumber(state[9]) + was) / 2))
elseif base and used >= REST * slowness(rate) then
  good = base
end
left = math.max(left, math.min(LEAST_CALLS, rate * LEAST_PART))
local booked = math.max(now, tonumber(state[2]))
hold = math.max(hold, booked + math.ceil(math.max(0, 1 - left / was) * 1000000))
redis.call('HSET', KEYS[1], 'hold', hold, 'learned', left, 'used', 0, 'refused_at', now,
  'event_at', now, 'event_until', booked + EVENT, 'refused', 1, 'good', good)
return math.floor(left * 1000)
