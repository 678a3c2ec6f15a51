-- Cancel a request, or a campaign: from now on admit.lua refuses it. What was accepted is beyond that; of a call that
-- was claimed before, nobody can tell whether it has begun, but there will be no other.
--
-- KEYS  1 tombstone  of the id or of the campaign: a string of nothing that says that it is cancelled
--       2 entry      of the request id, see admit.lua; none for a campaign
-- ARGV  1 now in us (0: this server's clock)  2 seconds that the tombstone is kept
-- Reply what the ledger says of the id: 'NOTHING' | 'CALLING' | 'UNKNOWN' | 'SENT' (then there is no tombstone).
--       The claim of a caller that is dead is 'UNKNOWN'. Of a campaign it is 'NOTHING'.

local stored = KEYS[2] and redis.call('GET', KEYS[2])
local entry = stored and cmsgpack.unpack(stored)
if entry and entry[1] == 'sent' then return 'SENT' end
redis.call('SET', KEYS[1], '', 'EX', ARGV[2])
if not entry then return 'NOTHING' end
if entry[1] == 'unknown' then return 'UNKNOWN' end

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
return entry[6] > now and 'CALLING' or 'UNKNOWN'
