-- Remember that the provider takes no more for a recipient for now; admit.lua refuses it until then.
--
-- KEYS  1 closed  (see admit.lua)
-- ARGV  1 now in us (0: this server's clock)  2 seconds until it reopens  3 the provider's code
-- Reply when it reopens, in seconds

local now = tonumber(ARGV[1])
local second = now == 0 and tonumber(redis.call('TIME')[1]) or math.floor(now / 1000000)
local reopens = second + tonumber(ARGV[2])
redis.call('SET', KEYS[1], string.format('%d %s', reopens, ARGV[3]), 'EX', ARGV[2])
return reopens
