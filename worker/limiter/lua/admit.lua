-- Ask to call for one request: claim it in the ledger and count it in every window of its recipient and in every cap,
-- or do nothing, say why not, and promise it a place in the order in which the windows reopen (places.lua). The
-- ledger's decisions are those of core/limits/ledger.py.
--
-- KEYS  1 entry      of the request id, packed by cmsgpack:
--                    {'calling', unknown calls, since, code, caller, until, began, mark, number of the caller's claim,
--                     fingerprint, cap, start, cap, start ...}
--                    {'unknown', unknown calls, since, code, fingerprint} | {'sent', unknown calls, answer, fingerprint}
--                    An entry of an older version has no fingerprint.
--       2 recipient  string of 4-byte marks, oldest first: (ticks modulo 2^30) * 4 + class of the lane; 64 ticks a second
--       3 caps       hash: name of the cap -> '<start of its period> <count>'
--       4 closed     until when the provider takes no more for the recipient: '<seconds> <code>'
--       5 index      of the holds, see hold_state.lua
--       6 before     the recipient's marks as older versions wrote them: (seconds since 2020-09-13) * 4 + class
--       7 places     of the recipient, see places.lua
--       8 tombstone  of the request id, see cancel.lua
--       9 tombstone  of the request's campaign; only when it names one
-- ARGV  1 now in us (0: this server's clock)  2 caller  3 number of its claim  4 lease us (0: only look, count nothing)
--       5 unknown calls in the asker's history  6 seconds that the entry is kept  7 fingerprint of the content
--       8 us after which nobody waits for the answer any more (0: somebody always does)
--       9 class of the lane
--       10 all windows, 16 bytes each: limit, period, mask of the classes that it counts and limits (big-endian integers
--          of 4 bytes, the period a double: one argument, because packing arguments is what costs a client most);
--          a shadow, which counts and refuses nobody, has 256 added to its mask
--       11 name of the asker as a prober of holds  12 1 when its slot is the probe of the account's hold
--       13 calling code of the recipient  14 sender ID ('': none)
--       15 us for which the request can wait: a place that comes later is of no use to it (0: it wants none)
--       then for each cap: name, limit (of a shadow its negative), period; two of one name stand side by side
--       The period of a window is microseconds, that of a cap is not given in them; 0: calendar day, -1: calendar month
--       (of Asia/Singapore, UTC+8 all year)
-- Reply {'ADMITTED', holds of which it is the probe ... (2 country, 3 sender), shadows that would have refused it ...
--         (as in CLOSED, but negative)}
--       | {'SENT', unknown calls, answer} | {'BUSY', us} | {'UNKNOWN', unknown calls, since us, code} | {'REUSED'}
--       | {'CANCELLED', unknown calls}
--       | {'HELD', which (1 account, 2 country, 3 sender), the hold as it is told}
--       | {'CLOSED', which (windows first, then caps; from 1) or the provider's code, us until its place}
--       | {'SOON', us} it has come for its place, but somebody before it was late: it should wait and ask again
--       | {'LATE'} nobody waits for the answer any more
--       Of several that are closed it names the last to reopen, so that one delay is enough. Windows open at most a tick
--       late and never early.

local SHADOW = 256 -- in the mask of a window
local SOON = 2000000 -- us for which a request that has come for its place waits in its worker

local now = clock(ARGV[1])
local second = floor(now / 1000000)
local caller, number, lease, counted = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local memory, content, class = ARGV[6], ARGV[7], tonumber(ARGV[9])
if tonumber(ARGV[8]) > 0 and now > tonumber(ARGV[8]) then return {'LATE'} end

-- The ledger and the tombstones: of most requests there is neither, and one command finds that out.
local is_known = redis.call('EXISTS', KEYS[1], unpack(KEYS, 8)) > 0
local stored = is_known and redis.call('GET', KEYS[1])
local entry = stored and cmsgpack.unpack(stored)
local state, unknowns, since, code, known = 'nothing', 0, 0, '', ''
if entry then state, unknowns, since, code = entry[1], entry[2], entry[3], entry[4] end
if state == 'calling' then
  known = type(entry[9]) == 'number' and entry[10] or ''
  local is_callers = entry[5] == caller
  if is_callers and not (number > entry[9]) or not is_callers and entry[6] > now then
    return {'BUSY', math.max(entry[6] - now, 0)}
  end
  if not is_callers then
    state, unknowns, since, code = 'unknown', unknowns + 1, entry[7], 'local.caller_lost'
    redis.call('SET', KEYS[1], cmsgpack.pack({state, unknowns, since, code, known}), 'EX', memory)
  end
elseif state == 'unknown' then
  known = entry[5] or ''
elseif state == 'sent' then
  known = entry[4] or ''
end
if known ~= '' and content ~= '' and known ~= content then return {'REUSED'} end
if state == 'sent' then return {'SENT', unknowns, since} end
if is_known and redis.call('EXISTS', unpack(KEYS, 8)) > 0 then
  -- Whoever claims again did not call for its earlier claim, of which it never heard.
  if state == 'calling' then give_back(entry, KEYS[1], KEYS[2], KEYS[3], memory) end
  local places = redis.call('GET', KEYS[7]) or ''
  local own = find_place(places, name_of(KEYS[1]))
  if own then leave_place(KEYS[7], places, own) end
  return {'CANCELLED', math.max(unknowns, counted)}
end
if state == 'calling' then -- a later claim takes the place of its caller's earlier one, and is not counted twice
  entry[2], entry[6], entry[7], entry[9] = math.max(unknowns, counted), now + lease, now, number
  redis.call('SET', KEYS[1], cmsgpack.pack(entry), 'EX', memory)
  return {'ADMITTED'}
end
if unknowns > counted then return {'UNKNOWN', unknowns, since, code} end
if lease == 0 then return {'ADMITTED'} end

local scopes = {'account', 'country:' .. ARGV[13], ARGV[14] ~= '' and 'sender:' .. ARGV[14] or nil}
local held, probes = meet_holds(KEYS[5], scopes, now, ARGV[11], ARGV[12] == '1')
if held then return held end

local closed, reopens = nil, 0 -- us
local noted -- a list of what would have refused, were it no shadow: {it, those before it}
local function close(which, at)
  if at > reopens then closed, reopens = which, at end
end

local shut = redis.call('GET', KEYS[4])
if shut then
  local at, why = string.match(shut, '^(%d+) (.*)$')
  if tonumber(at) > second then close(why, tonumber(at) * 1000000) end
end

-- The windows: the limit-th newest mark of a window must leave it before one more fits. A mark is kept while some window
-- may still have to count it, which is never more marks than the limits of all windows together.
local tick, lane_bit = floor(now / TICK), 2 ^ class
local limit, mask, length, opened, finish, count = {}, {}, {}, {}, {}, {}
local windows = {} -- that limit the lane
local is_counted = false
for i = 1, #ARGV[10] / 16 do
  local period
  limit[i], period, mask[i] = struct.unpack('>i4di4', ARGV[10], (i - 1) * 16 + 1)
  count[i] = 0
  if period > 0 then
    length[i], opened[i] = period, now - period
  else
    local start, ends = calendar(period, second)
    opened[i], finish[i] = start * 1000000, ends * 1000000
  end
  if bit.band(mask[i], lane_bit) ~= 0 then
    is_counted = true
    if mask[i] < SHADOW then
      windows[#windows + 1] = {which = i, limit = limit[i], length = length[i], period = period, mask = mask[i]}
    end
  end
end
local is_limited = #windows > 0

local log = is_counted and redis.call('GET', KEYS[2])
if is_counted and not log then
  log = string.gsub(redis.call('GET', KEYS[6]) or '', '....', function(old)
    local before = struct.unpack('>I4', old)
    -- At the end of its second: never too early.
    return struct.pack('>I4', ((1600000000 + floor(before / 4)) * 64 + 63) % TURN * 4 + before % 4)
  end)
end
local kept, kept_sent, kept_bits, lasts = {}, {}, {}, 0
for at = #(log or '') - 3, 1, -4 do
  local read = struct.unpack('>I4', log, at)
  local age = (tick - floor(read / 4)) % TURN
  if age >= TURN / 2 then age = age - TURN end -- the clock was set back
  local sent, bit_of = (tick - age + 1) * TICK, 2 ^ (read % 4)
  local is_kept = false
  for i = 1, #limit do
    -- What ends with a day or a month was sent within it when its tick was, and all ticks of a second are.
    if bit.band(mask[i], bit_of) ~= 0 and (finish[i] and sent - TICK >= opened[i] or not finish[i] and sent > opened[i]) then
      count[i] = count[i] + 1
      local leaves = finish[i] or sent + length[i]
      if count[i] == limit[i] and bit.band(mask[i], lane_bit) ~= 0 then
        if mask[i] < SHADOW then close(i, leaves) else noted = {-i, noted} end
      end
      if count[i] <= limit[i] then is_kept, lasts = true, math.max(lasts, leaves) end
    end
  end
  if is_kept then -- the newest first
    kept[#kept + 1] = string.sub(log, at, at + 3)
    kept_sent[#kept], kept_bits[#kept] = sent - TICK, bit_of
  end
end

-- The caps.
local names, starts, counts = {}, {}, {}
for at = 16, #ARGV, 3 do names[#names + 1] = ARGV[at] end
if #names > 0 then
  local stored_caps = redis.call('HMGET', KEYS[3], unpack(names))
  for i = 1, #names do
    local at = 16 + (i - 1) * 3
    local start, ends = calendar(tonumber(ARGV[at + 2]), second)
    local used = 0
    if stored_caps[i] then
      local stored_start, stored_count = string.match(stored_caps[i], '^(%d+) (%d+)$')
      -- A period that is newer than ours: the clock was set back. Counting on is never too generous.
      if tonumber(stored_start) >= start then start, used = tonumber(stored_start), tonumber(stored_count) end
    end
    local most = tonumber(ARGV[at + 1])
    if most < 0 then
      if used >= -most then noted = {-(#limit + i), noted} end
    elseif used >= most then
      close(#limit + i, ends * 1000000)
    end
    starts[i], counts[i] = start, used + 1
  end
end

-- The place. Who has none yet comes after all that are promised to its lane and to more urgent ones.
local places = is_limited and redis.call('GET', KEYS[7]) or ''
local name, fits, furthest, outdated = name_of(KEYS[1]), now, 0, false
local own, due = find_place(places, name), nil
if reopens > now then fits = math.ceil(reopens / TICK) * TICK end
if own then
  due = tick_of(struct.unpack('>I4', places, own), tick)
  if due + MEMORY <= tick then own, due = nil, nil else fits = math.max(fits, due * TICK) end
end
if places ~= '' then
  local instants, bits = {}, {}
  for i = #kept, 1, -1 do add_event(instants, bits, kept_sent[i], kept_bits[i]) end
  for at = 1, #places, PLACE do
    local read = struct.unpack('>I4', places, at)
    local from, rank = tick_of(read, tick), read % 4
    furthest, outdated = math.max(furthest, from), outdated or from + MEMORY <= tick
    local in_front = at ~= own and (rank < class or rank == class and (not own or at < own))
    if in_front and from + LAPSE > tick then
      add_event(instants, bits, math.max(from, tick) * TICK, 2 ^ rank)
    end
  end
  local last
  fits, last = first_fit(fits, windows, instants, bits)
  closed = last or closed
end

if fits > now then
  local after, left, known = fits - now, math.min(tonumber(ARGV[15]), TURN / 4 * TICK), places
  local has_place, spread = false, 0
  if outdated then places = remembered(places, tick, MEMORY) end
  own = own and find_place(places, name)
  if not own and #places >= MOST * PLACE then places = remembered(places, tick, LAPSE) end
  if after >= left then
    if own then places = without_place(places, own) end
  elseif is_limited and (own or #places < MOST * PLACE) then
    has_place = true
    local place = struct.pack('>I4', floor(fits / TICK) % TURN * 4 + class) .. name
    places = own and string.sub(places, 1, own - 1) .. place .. string.sub(places, own + PLACE) or places .. place
    furthest = math.max(furthest, floor(fits / TICK))
  elseif is_limited then -- so that those for whom there is no room do not all come back at once
    spread = floor(math.min(after, left - after) * struct.unpack('>I2', name) / 65536)
  end
  if places == '' then
    if known ~= '' then redis.call('DEL', KEYS[7]) end
  elseif places ~= known then
    redis.call('SET', KEYS[7], places, 'PX', math.ceil(((furthest + MEMORY) * TICK - now) / 1000))
  end
  if has_place and due and after <= SOON then return {'SOON', after} end
  return {'CLOSED', closed or windows[1].which, after + spread}
end
if own then leave_place(KEYS[7], places, own) end

local claimed = {'calling', math.max(unknowns, counted), since, code, caller, now + lease, now, '', number, content}
if is_counted then
  claimed[8] = struct.pack('>I4', tick % TURN * 4 + class)
  for i = 1, #limit do
    if bit.band(mask[i], lane_bit) ~= 0 then lasts = math.max(lasts, finish[i] or (tick + 1) * TICK + length[i]) end
  end
  local marks = {}
  for at = #kept, 1, -1 do marks[#marks + 1] = kept[at] end
  redis.call('SET', KEYS[2], table.concat(marks) .. claimed[8], 'PX', math.ceil((lasts - now) / 1000))
end
for i = 1, #names do
  if names[i] ~= names[i - 1] then -- a shadow beside it counts the same messages
    redis.call('HSET', KEYS[3], names[i], string.format('%d %d', starts[i], counts[i]))
    claimed[#claimed + 1] = names[i]
    claimed[#claimed + 1] = starts[i]
  end
end
redis.call('SET', KEYS[1], cmsgpack.pack(claimed), 'EX', memory)
take_probes(KEYS[5], scopes, probes, now, lease, ARGV[11])
while noted do
  probes[#probes + 1] = noted[1]
  noted = noted[2]
end
return {'ADMITTED', unpack(probes)}
