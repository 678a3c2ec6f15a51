-- Hold the account; when the asker's own probe has just failed, lengthen the hold instead.
-- Other calls that were under way when the hold began fail as well: they change nothing.
--
-- KEYS  1 account  hash, see grant.lua
-- ARGV  1 now in us (0: this server's clock)  2 code  3 name of the asker  4 us until the first probe
--       5 us between the slowest probes
-- Reply 'SET' | 'LENGTHENED' | 'SAME'

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local first, slowest = tonumber(ARGV[4]), tonumber(ARGV[5])
local state = redis.call('HMGET', KEYS[1], 'probes', 'prober')
if not state[1] then
  redis.call('HSET', KEYS[1], 'code', ARGV[2], 'since', now, 'probes', 0, 'probe_at', now + first)
  return 'SET'
end
if state[2] ~= ARGV[3] then return 'SAME' end
local probes = tonumber(state[1]) + 1
local pause = math.min(first * 2 ^ math.min(probes, 32), slowest)
redis.call('HSET', KEYS[1], 'code', ARGV[2], 'probes', probes, 'probe_at', now + pause)
redis.call('HDEL', KEYS[1], 'lease', 'prober')
return 'LENGTHENED'
