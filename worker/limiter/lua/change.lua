-- Put new overrides of the limits in the place of those that somebody has read, unless they are others by now.
--
-- KEYS  1 overrides, 2 shadowed  see overrides.lua
--       3 changes    list of texts, the newest first: see overrides.py
-- ARGV  1 the overrides as they were read  2 the new ones ('': none)  3 how many changes follow
--       then these, the oldest first, then the fields of `shadowed` that are of no shadow any more
-- Reply 1 | 0 they are others by now, and nothing was written

local MOST = 1000 -- changes that are kept

if text_at(KEYS[1]) ~= ARGV[1] then return 0 end
local last = 3 + tonumber(ARGV[3])
make_room(KEYS[3], 'list')
for i = 4, last do redis.call('LPUSH', KEYS[3], ARGV[i]) end
redis.call('LTRIM', KEYS[3], 0, MOST - 1)
make_room(KEYS[2], 'hash')
for i = last + 1, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return 1
