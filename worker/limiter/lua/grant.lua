-- Book up to `want` slots of one operation's quota for a lane, or say when to come back. While the account is held,
-- give one slot as a probe when it is due, and to one asker only; afterwards begin slowly. The arithmetic is that of
-- worker/simulation/token_bucket.py, and of core/limits/learned.py.
--
-- KEYS  1 rate    hash: seq (calls booked so far), last (slot of the last), hold,
--                 floor:<lane>, turn:<lane>, rate (calls per second, as the latest asker has it); what was learned:
--                 learned (calls per window after the last cut), used (us in which all of it was used since),
--                 refused_at, event_at, event_until, refused (calls in the event), good (a rate known to be so)
--       2 ring    string of 4096 doubles: slot of call n at cell n modulo 4096, so the limit can change at any time
--       3 hold    of the account, see hold_state.lua
-- ARGV  1 now in us (0: this server's clock)  2 rate (0: no limit)  3 window us, guard included  4 lane
--       5 reach in gaps  6 least reach us  7 furthest reach us  8 floor interval us (0: none)  9 want
--       10 name of the asker  11 length of a probe's lease us
--       12 us in which the rate climbs back after a hold that ends by itself (0: at once)
-- Reply {'SLOTS', kind (0 usual, 1 floor, 2 probe), now, wait us, ...} | {'TURN', us} | {'HELD', us, code}
--       | {'COLD'} the state is missing | {'CLOCK'} the clock was set back: nothing may be granted before epoch.lua

local CELLS, CELL = 4096, 8
local FLOOR_LEAD, LONGEST_TURN, CLOCK_STEP = 500000, 250000, 10000000
local UNUSED_WEIGHT = 5 -- unused time takes so many times itself off the used
local RAMP_START = 0.1 -- part of the rate with which sending begins again after a hold
local LONGEST_HELD = 1000000 -- a hold may be lifted at any time: nobody stays away longer

local rate_key, ring_key, account_key, lane, asker = KEYS[1], KEYS[2], KEYS[3], ARGV[4], ARGV[10]
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local rate, window = tonumber(ARGV[2]), tonumber(ARGV[3])
local furthest, floor_every = tonumber(ARGV[7]), tonumber(ARGV[8])
local want = math.min(tonumber(ARGV[9]), CELLS)

local state = redis.call('HMGET', rate_key, 'seq', 'last', 'hold',
  'floor:' .. lane, 'turn:' .. lane, 'rate', 'learned', 'used', 'refused_at')
local seq = tonumber(state[1])
if not seq then return {'COLD'} end
local last, hold = tonumber(state[2]), tonumber(state[3])
if last > now + CLOCK_STEP then return {'CLOCK'} end
local floor_due, last_turn = tonumber(state[4] or 0), tonumber(state[5] or 0)

local account = redis.call('HMGET', account_key,
  'code', 'probe_at', 'lease', 'until', 'ramp_from', 'ramp_until')
local ramp_from, ramp_until = tonumber(account[5]), tonumber(account[6])
local probing, ends = account[1], tonumber(account[4])
if probing and ends and ends <= now then
  probing, ramp_from, ramp_until = false, now, now + tonumber(ARGV[12])
  redis.call('DEL', account_key)
  if ramp_until > now then
    redis.call('HSET', account_key, 'ramp_from', ramp_from, 'ramp_until', ramp_until)
    redis.call('PEXPIRE', account_key, math.ceil(tonumber(ARGV[12]) / 1000))
  end
end
if probing then
  local opens = math.max(tonumber(account[2] or ends or now + LONGEST_HELD), tonumber(account[3] or 0))
  if opens > now then return {'HELD', math.min(opens - now, LONGEST_HELD), account[1]} end
  want = 1
end

local function reply_slots(waits, floor)
  if probing then
    redis.call('HSET', account_key, 'lease', now + waits[1] + tonumber(ARGV[11]), 'prober', asker)
  end
  return {'SLOTS', probing and 2 or floor and 1 or 0, now, unpack(waits)}
end

if tonumber(state[6]) ~= rate then redis.call('HSET', rate_key, 'rate', rate) end

if rate == 0 then
  local wait = math.max(0, hold - now)
  if wait > furthest then return {'TURN', math.min(wait, LONGEST_TURN)} end
  local waits = {}
  for i = 1, want do waits[i] = wait end
  return reply_slots(waits, false)
end

if floor_every > 0 and floor_due > now + floor_every then -- the floor was raised
  floor_due = now + floor_every
  redis.call('HSET', rate_key, 'floor:' .. lane, floor_due)
end
want = math.min(want, rate) -- so that no slot looks back at another of the same call
local used = tonumber(state[8])
local pace = rate_now(tonumber(state[7]), used, tonumber(state[9]), rate, now)
if pace >= rate then used = nil end -- nothing is to be learned
if ramp_until and ramp_until > now then
  pace = pace * (RAMP_START + (1 - RAMP_START) * math.max(0, now - ramp_from) / (ramp_until - ramp_from))
end
local gap = window / pace
local reach = math.min(math.max(tonumber(ARGV[5]) * gap, tonumber(ARGV[6])), furthest)

-- Slots of the calls that lie `rate` calls before those that are asked for; the first `unseen` have none.
local unseen = math.max(0, rate - seq)
local past = ''
if unseen < want then
  local from, count = (seq + unseen - rate) % CELLS, want - unseen
  past = redis.call('GETRANGE', ring_key, from * CELL, math.min(from + count, CELLS) * CELL - 1)
  if from + count > CELLS then
    past = past .. redis.call('GETRANGE', ring_key, 0, (from + count - CELLS) * CELL - 1)
  end
end

local function slot_of(index)
  local slot = math.max(now, last + gap, hold)
  local at = (index - unseen) * CELL + 1
  if index >= unseen and #past >= at + CELL - 1 then
    slot = math.max(slot, struct.unpack('<d', past, at) + window)
  end
  return math.ceil(slot)
end

local slot = slot_of(0)
local floor = slot - now > reach and floor_every > 0 and floor_due <= now
local limit = floor and furthest + FLOOR_LEAD or reach

if slot - now > limit then
  -- A soft turn: askers come back one after the other, each when it finds as many slots as half its reach holds.
  -- Nothing is booked, so nothing is lost if they never come.
  local batch = math.min(want, math.floor(reach / 2 / gap) + 1)
  local opens, spacing = slot - reach + (batch - 1) * gap, batch * gap
  if floor_every > 0 and now < floor_due and floor_due < opens then opens, spacing = floor_due, floor_every end
  local turn = math.max(opens, last_turn + spacing)
  turn = math.ceil(math.min(turn, now + math.max(LONGEST_TURN, gap)))
  redis.call('HSET', rate_key, 'turn:' .. lane, turn)
  return {'TURN', turn - now}
end

local before, unused = last, math.max(0, slot - (last + gap))
local waits, cells = {}, {}
while #waits < want and slot - now <= limit and not (floor and floor_due > now) do
  last = slot
  waits[#waits + 1] = slot - now
  cells[#cells + 1] = struct.pack('<d', slot)
  if floor_every > 0 then
    floor_due = math.min(math.max(floor_due, now - LONGEST_TURN), now) + floor_every
  end
  if #waits < want then slot = slot_of(#waits) end
end

local to, room = seq % CELLS, CELLS - seq % CELLS
redis.call('SETRANGE', ring_key, to * CELL, table.concat(cells, '', 1, math.min(#cells, room)))
if #cells > room then redis.call('SETRANGE', ring_key, 0, table.concat(cells, '', room + 1)) end
if used then
  used = math.max(0, used + (last - before) - (1 + UNUSED_WEIGHT) * unused)
  redis.call('HSET', rate_key, 'seq', seq + #waits, 'last', last, 'used', used)
else
  redis.call('HSET', rate_key, 'seq', seq + #waits, 'last', last)
end
if floor_every > 0 then redis.call('HSET', rate_key, 'floor:' .. lane, floor_due) end
return reply_slots(waits, floor)
