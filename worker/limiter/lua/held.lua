-- Look at all holds. The index forgets the names of those that have ended.
--
-- KEYS  1 index  (see hold_state.lua)
-- ARGV  1 now in us (0: this server's clock)
-- Reply {{name, the hold as it is told}, ...}, {name that has refusals but no hold, ...}

local now, holds, suspects = clock(ARGV[1]), {}, {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local key = KEYS[1] .. ':' .. name
  local hold = read_hold(key, now)
  if hold then
    holds[#holds + 1] = {name, told(hold, now)}
  elseif redis.call('HEXISTS', key, 'failures') == 1 then
    suspects[#suspects + 1] = name
  elseif name ~= 'account' or redis.call('HEXISTS', key, 'code') == 0 then -- grant.lua ends that of the account
    redis.call('SREM', KEYS[1], name)
    if redis.call('HEXISTS', key, 'code') == 1 then redis.call('DEL', key) end
  end
end
return {holds, suspects}
