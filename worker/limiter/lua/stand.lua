-- A worker tells how it stands. What others told too long ago is forgotten: they are gone.
--
-- KEYS  1 workers  hash: name of a worker -> us when it told, a space, what it told
-- ARGV  1 now in us (0: this server's clock)  2 name of the worker  3 what it tells
-- Reply how many workers there are

local KEPT = 60000000

local now, workers = clock(ARGV[1]), 0
make_room(KEYS[1], 'hash')
redis.call('HSET', KEYS[1], ARGV[2], string.format('%.0f ', now) .. ARGV[3])
local told = redis.call('HGETALL', KEYS[1])
for i = 1, #told, 2 do
  local at = tonumber(string.match(told[i + 1], '^(%d+) ')) or 0
  if math.abs(now - at) > KEPT then redis.call('HDEL', KEYS[1], told[i]) else workers = workers + 1 end
end
redis.call('PEXPIRE', KEYS[1], KEPT / 1000)
return workers
