-- How a claim is given back; scripts.py puts it before the scripts that do so.

-- Forget the claim of `entry`, which is 'calling', and take its request out of its windows and caps. What was unknown
-- before it is unknown now. `memory` is how many seconds an entry is kept. Returns whether its mark was still there.
local function give_back(entry, entry_key, recipient, caps, memory)
  if entry[2] > 0 then
    local before = {'unknown', entry[2], entry[3], entry[4], entry[10]}
    redis.call('SET', entry_key, cmsgpack.pack(before), 'EX', memory)
  else
    redis.call('DEL', entry_key)
  end
  local mark, at = entry[8], 0
  if mark ~= '' then
    local log = redis.call('GET', recipient) or ''
    at = #log - 3
    while at >= 1 and string.sub(log, at, at + 3) ~= mark do at = at - 4 end
    if at >= 1 and #log == 4 then
      redis.call('DEL', recipient)
    elseif at >= 1 then
      redis.call('SET', recipient, string.sub(log, 1, at - 1) .. string.sub(log, at + 4), 'KEEPTTL')
    end
  end
  for i = 11, #entry, 2 do
    local start, count = string.match(redis.call('HGET', caps, entry[i]) or '', '^(%d+) (%d+)$')
    if tonumber(start) == entry[i + 1] and tonumber(count) > 0 then
      redis.call('HSET', caps, entry[i], string.format('%s %d', start, count - 1))
    end
  end
  return at >= 1
end
