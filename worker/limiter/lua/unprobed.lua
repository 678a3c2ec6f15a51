-- A probe was not made: somebody else may make it now.
--
-- KEYS  1 hold  (see hold_state.lua)
-- ARGV  1 now in us, not looked at  2 who was to probe
-- Reply 1 the probe is free, 0 it was no longer the asker's

if redis.call('HGET', KEYS[1], 'prober') ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], 'lease', 'prober')
return 1
