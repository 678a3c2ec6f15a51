-- The provider refused a call of a scope: count, hold when it is enough, or lengthen the hold when the call was its
-- probe. Other calls that were under way when the hold began are refused as well: they change nothing.
--
-- KEYS  1 hold  2 index  (see hold_state.lua)
-- ARGV  1 now in us (0: this server's clock)  2 name  3 code ('': a probe that showed nothing)
--       4 who probed ('': it was no probe)  5 us until the first probe  6 us between the slowest probes
--       7 refusals in a row that it takes  8 us after which it ends by itself, without probes (0: it does not)
-- Reply {'NONE'} there is no hold | {'SET' | 'LENGTHENED' | 'SAME', the hold as it is told}

local DAY_S = 86400

local now, name, code, prober = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local first, slowest, lasts = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[8])
local hold = read_hold(KEYS[1], now)

local function reply(verdict)
  return {verdict, told(read_hold(KEYS[1], now), now)}
end

if not hold then
  if code == '' then return {'NONE'} end
  if redis.call('HEXISTS', KEYS[1], 'code') == 1 then redis.call('DEL', KEYS[1]) end -- it has ended by itself
  local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
  redis.call('SADD', KEYS[2], name)
  if failures < tonumber(ARGV[7]) then
    redis.call('EXPIRE', KEYS[1], DAY_S)
    return {'NONE'}
  end
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'code', code, 'since', now, 'by', 'provider', 'probes', 0)
  if lasts > 0 then
    redis.call('HSET', KEYS[1], 'until', now + lasts)
  else
    redis.call('HSET', KEYS[1], 'probe_at', now + first)
  end
  return reply('SET')
end

if hold.by == 'operator' then return reply('SAME') end
if lasts > 0 and hold.ends then
  redis.call('HSET', KEYS[1], 'until', math.max(hold.ends, now + lasts))
  return reply('SAME')
end
if prober == '' or hold.prober ~= prober then return reply('SAME') end
local probes = hold.probes + 1
local pause = math.min(first * 2 ^ math.min(probes, 32), slowest)
redis.call('HSET', KEYS[1], 'probes', probes, 'probe_at', now + pause)
if code ~= '' then redis.call('HSET', KEYS[1], 'code', code) end
redis.call('HDEL', KEYS[1], 'lease', 'prober')
return reply('LENGTHENED')
