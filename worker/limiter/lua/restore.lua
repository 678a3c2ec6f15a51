-- Take the cancel of a request or a campaign back.
--
-- KEYS  1 tombstone  (see cancel.lua)
-- Reply 1 | 0 there was none

return redis.call('DEL', KEYS[1])
