-- Take one admitted message out again: it was certainly not sent.
--
-- KEYS  1 recipient  2 caps  (see admit.lua)
-- ARGV  1 entry (empty: none was made); then for each cap: name, start of the period in which it was counted
-- Reply 1 taken out, 0 the entry is not there (refunded before, or too old to matter): then nothing is changed

local entry = ARGV[1]
if entry ~= '' then
  local log = redis.call('GET', KEYS[1]) or ''
  local at = #log - 3
  while at >= 1 and string.sub(log, at, at + 3) ~= entry do at = at - 4 end
  if at < 1 then return 0 end
  if #log == 4 then
    redis.call('DEL', KEYS[1])
  else
    redis.call('SET', KEYS[1], string.sub(log, 1, at - 1) .. string.sub(log, at + 4), 'KEEPTTL')
  end
end
for i = 2, #ARGV, 2 do
  local stored = redis.call('HGET', KEYS[2], ARGV[i])
  local start, count = string.match(stored or '', '^(%d+) (%d+)$')
  if start == ARGV[i + 1] and tonumber(count) > 0 then
    redis.call('HSET', KEYS[2], ARGV[i], string.format('%s %d', start, count - 1))
  end
end
return 1
