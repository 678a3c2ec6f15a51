-- Lift the account's hold.
--
-- KEYS  1 account  hash, see grant.lua
-- Reply 1 there was one, 0 there was none

return redis.call('DEL', KEYS[1])
