-- How large a batch call may be, found by slow start: doubled after each call that was accepted with more than half of
-- it, halved when one was found too large; what was found too large is not tried again for a day. A connection that was
-- cut says so of a call that is larger than any that was accepted, and else nothing.
--
-- KEYS  1 size  hash: most (bytes), proven (bytes of the largest call that was accepted), wall (bytes that were found
--               too large), until (us: when the wall is forgotten)
-- ARGV  1 now in us (0: this server's clock)  2 bytes at first  3 bytes at the most, as the asker has it
--       4 'look', 'accepted', 'refused' or 'cut'  5 bytes of the call
-- Reply bytes

local DAY, LEAST = 86400000000, 1000

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local first, ceiling, bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
local news = ARGV[4]
local stored = redis.call('HMGET', KEYS[1], 'most', 'wall', 'until', 'proven')
local known, wall, proven = tonumber(stored[1] or first), tonumber(stored[2] or 0), tonumber(stored[4] or 0)
if wall > 0 and tonumber(stored[3]) <= now then wall = 0 end
local most = known
if news == 'accepted' then
  if bytes > proven then redis.call('HSET', KEYS[1], 'proven', bytes) end
  if bytes * 2 > most and (wall == 0 or most * 2 < wall) then most = most * 2 end
elseif (news == 'refused' or news == 'cut' and bytes > proven) and (wall == 0 or bytes < wall) then
  most, wall = math.max(LEAST, math.min(most, math.floor(bytes / 2))), bytes
  redis.call('HSET', KEYS[1], 'wall', wall, 'until', now + DAY)
end
if most ~= known then redis.call('HSET', KEYS[1], 'most', most) end
if news ~= 'look' then redis.call('PEXPIRE', KEYS[1], 7 * DAY / 1000) end
return math.min(most, ceiling)
