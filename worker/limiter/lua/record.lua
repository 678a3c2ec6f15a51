-- Write what became of a call into the ledger; when the provider certainly did not accept it, take the request out of
-- its windows and caps again, and give it its place before those who have one, for it may be tried again. The decisions
-- are those of core/limits/ledger.py.
--
-- KEYS  1 entry  2 recipient  3 caps  4 places  (see admit.lua)
-- ARGV  1 now in us (0: this server's clock)  2 caller  3 number of its claim  4 unknown calls in the asker's history
--       5 seconds that the entry is kept  6 fingerprint of the content  7 'sent' | 'unknown' | 'not_sent'
--       8 the answer ('sent') or why it is unknown ('unknown')
-- Reply how many calls for this request id are unknown

local stored = redis.call('GET', KEYS[1])
local entry = stored and cmsgpack.unpack(stored)
local memory, content, news = ARGV[5], ARGV[6], ARGV[7]

local function write(...)
  redis.call('SET', KEYS[1], cmsgpack.pack({...}), 'EX', memory)
end

local unknowns = entry and entry[2] or 0
if news == 'sent' then
  if not entry or entry[1] ~= 'sent' then write('sent', unknowns, ARGV[8], content) end
  return unknowns
end
if news == 'unknown' and not entry then
  local now = tonumber(ARGV[1])
  if now == 0 then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
  end
  unknowns = tonumber(ARGV[4]) + 1
  write('unknown', unknowns, now, ARGV[8], content)
  return unknowns
end
if not entry or entry[1] ~= 'calling' or entry[5] ~= ARGV[2] or entry[9] ~= tonumber(ARGV[3]) then return unknowns end

if news == 'unknown' then
  write('unknown', unknowns + 1, entry[7], ARGV[8], entry[10])
  return unknowns + 1
end

-- Not sent.
local was_counted = give_back(entry, KEYS[1], KEYS[2], KEYS[3], memory)
local places, name = was_counted and redis.call('GET', KEYS[4]), name_of(KEYS[1])
if places and #places < MOST * PLACE and not find_place(places, name) then
  redis.call('SET', KEYS[4], entry[8] .. name .. places, 'KEEPTTL')
end
return unknowns
