-- What scripts about overrides share; scripts.py puts it before each of them. What is of another kind than it should be
-- is nothing of ours, and must stop neither a worker nor an operator.

-- The string at `key`, '' when nothing is there. What is no string is told as a text that cannot be read.
local function text_at(key)
  local stored = redis.pcall('GET', key)
  if type(stored) ~= 'table' then return stored or '' end
  if string.find(stored.err, 'WRONGTYPE', 1, true) then return '(not a string)' end
  return redis.call('GET', key) -- so that the error is told as that of any other script
end

-- Make room at `key` for a `kind`, by its name in Redis.
local function make_room(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', key) end
end
