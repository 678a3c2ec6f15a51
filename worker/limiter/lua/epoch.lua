-- Notice that this server may have forgotten limits (restarted, failed over, emptied, clock set back), and then grant
-- nothing until every slot that may have been forgotten has left its window. Runs on every new connection.
--
-- KEYS  1 epoch    string: run id of the server that knows everything
--       2 index    of the holds, see hold_state.lua
--       3, 4 and so on: rate and ring of each operation
-- ARGV  1 now in us (0: this server's clock)  2 and so on: silence us of each operation
-- Reply 'SAME' | 'EMPTY' nothing was here | 'RESTARTED' another server process than before | 'CLOCK' it was set back

local CLOCK_STEP = 10000000

local now = clock(ARGV[1])
local known = redis.call('GET', KEYS[1])
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or 'none'
local verdict = 'SAME'
if known ~= run then
  verdict = known and 'RESTARTED' or 'EMPTY'
  redis.call('SET', KEYS[1], run)
end
local restarted = verdict ~= 'SAME'

for i = 3, #KEYS, 2 do
  local rate_key, opens = KEYS[i], now + tonumber(ARGV[(i + 1) / 2])
  local state = redis.call('HMGET', rate_key, 'seq', 'last', 'hold')
  local missing = not state[1]
  local ahead = not missing and tonumber(state[2]) > now + CLOCK_STEP
  if missing or ahead then
    if ahead then verdict = 'CLOCK' elseif not restarted then verdict = 'EMPTY' end
    redis.call('DEL', rate_key, KEYS[i + 1])
    redis.call('HSET', rate_key, 'seq', 0, 'last', 0, 'hold', opens)
  elseif restarted then
    redis.call('HSET', rate_key, 'hold', math.max(tonumber(state[3]), opens))
  end
end

if verdict == 'CLOCK' then
  for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    local key = KEYS[2] .. ':' .. name
    if redis.call('HEXISTS', key, 'code') == 1 then redis.call('HSET', key, 'since', now) end
    if redis.call('HEXISTS', key, 'probe_at') == 1 then redis.call('HSET', key, 'probe_at', now, 'lease', 0) end
  end
  redis.call('HDEL', KEYS[2] .. ':account', 'ramp_from', 'ramp_until')
end
return verdict
