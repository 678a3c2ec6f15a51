-- The operator holds a scope, in place of the hold that there may be.
--
-- KEYS  1 hold  2 index  (see hold_state.lua)
-- ARGV  1 now in us (0: this server's clock)  2 name  3 code  4 reason  5 us after which it ends by itself (0: not)
-- Reply {} when there was none, else the hold that gave way, as it is told

local now, lasts = clock(ARGV[1]), tonumber(ARGV[5])
local before = read_hold(KEYS[1], now)

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'code', ARGV[3], 'since', now, 'by', 'operator', 'probes', 0, 'reason', ARGV[4])
if lasts > 0 then redis.call('HSET', KEYS[1], 'until', now + lasts) end
redis.call('SADD', KEYS[2], ARGV[2])
return before and told(before, now) or {}
