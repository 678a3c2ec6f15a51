-- What scripts about overrides share; scripts.py puts it before each of them.

-- The string at `key`, '' when nothing is there. What is no string is nothing of ours: it is told as a text that cannot
-- be read, because it must not stop a worker.
local function text_at(key)
  local stored = redis.pcall('GET', key)
  if type(stored) ~= 'table' then return stored or '' end
  if string.find(stored.err, 'WRONGTYPE', 1, true) then return '(not a string)' end
  return redis.call('GET', key) -- so that the error is told as that of any other script
end
