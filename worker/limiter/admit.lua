-- Ask to call for one request: claim it in the ledger and count it in every window of its recipient and in every cap,
-- or do nothing and say why not. The ledger's decisions are those of core/ledger.py.
--
-- KEYS  1 entry      of the request id, packed by cmsgpack:
--                    {'calling', unknown calls, since, code, token, until, began, mark, cap, start, cap, start ...}
--                    {'unknown', unknown calls, since, code} | {'sent', unknown calls, answer}
--       2 recipient  string of 4-byte marks, oldest first: (seconds since 2020-09-13) * 4 + class of the lane
--       3 caps       hash: name of the cap -> '<start of its period> <count>'
--       4 closed     until when the provider takes no more for the recipient: '<seconds> <code>'
--       5 index      of the holds, see hold_state.lua
-- ARGV  1 now in us (0: this server's clock)  2 token of the asker  3 lease us (0: only look, count nothing)
--       4 unknown calls in the asker's history  5 seconds that the entry is kept
--       6 class of the lane  7 seconds that a mark is kept (0: none is made; only for a lane that is in no window)
--       8 windows of the lane, 12 bytes each: limit, period, mask of the classes that it counts (big-endian integers:
--         one argument, because packing arguments is what costs a client most)
--       9 name of the asker as a prober of holds  10 1 when its slot is the probe of the account's hold
--       11 calling code of the recipient  12 sender ID ('': none)
--       then for each cap: name, limit, period
--       A period is a number of seconds, or 0: calendar day, -1: calendar month (of Asia/Singapore, UTC+8 all year)
-- Reply {'ADMITTED', holds of which it is the probe ... (2 country, 3 sender)}
--       | {'SENT', unknown calls, answer} | {'BUSY', us} | {'UNKNOWN', unknown calls, since us, code}
--       | {'HELD', which (1 account, 2 country, 3 sender), the hold as it is told}
--       | {'CLOSED', which (windows first, then caps; from 1) or the provider's code, us until it reopens}
--       Of several that are closed it names the last to reopen, so that one delay is enough. Windows round up to the
--       second: they open at most one second late and never early.

local ORIGIN, DAY, EAST = 1600000000, 86400, 28800
local floor = math.floor

local now = clock(ARGV[1])
local second = floor(now / 1000000)
local token, lease, counted, memory = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local class, keep, windows = tonumber(ARGV[6]), tonumber(ARGV[7]), #ARGV[8] / 12

-- The ledger.
local stored = redis.call('GET', KEYS[1])
local entry = stored and cmsgpack.unpack(stored)
local state, unknowns, since, code = 'nothing', 0, 0, ''
if entry then state, unknowns, since, code = entry[1], entry[2], entry[3], entry[4] end
if state == 'sent' then return {'SENT', unknowns, since} end
if state == 'calling' then
  if entry[5] == token then
    entry[2], entry[6], entry[7] = math.max(unknowns, counted), now + lease, now
    redis.call('SET', KEYS[1], cmsgpack.pack(entry), 'EX', memory)
    return {'ADMITTED'}
  end
  if entry[6] > now then return {'BUSY', entry[6] - now} end
  unknowns, since, code = unknowns + 1, entry[7], 'local.caller_lost'
  redis.call('SET', KEYS[1], cmsgpack.pack({'unknown', unknowns, since, code}), 'EX', memory)
end
if unknowns > counted then return {'UNKNOWN', unknowns, since, code} end
if lease == 0 then return {'ADMITTED'} end

local scopes = {'account', 'country:' .. ARGV[11], ARGV[12] ~= '' and 'sender:' .. ARGV[12] or nil}
local held, probes = meet_holds(KEYS[5], scopes, now, ARGV[9], ARGV[10] == '1')
if held then return held end

local function day_start(at)
  return floor((at + EAST) / DAY) * DAY - EAST
end

-- Howard Hinnant, chrono-compatible low-level date algorithms: civil_from_days; only the day of the month is needed.
local function month_start(at)
  local days = floor((at + EAST) / DAY) + 719468
  local era_day = days % 146097
  local year = floor((era_day - floor(era_day / 1460) + floor(era_day / 36524) - floor(era_day / 146096)) / 365)
  local year_day = era_day - (365 * year + floor(year / 4) - floor(year / 100))
  local month = floor((5 * year_day + 2) / 153)
  local month_day = year_day - floor((153 * month + 2) / 5)
  return day_start(at) - month_day * DAY
end

local function calendar(period)
  if period == 0 then
    local start = day_start(second)
    return start, start + DAY
  end
  local start = month_start(second)
  return start, month_start(start + 32 * DAY)
end

local closed, reopens = nil, 0
local function close(which, at)
  if at > reopens then closed, reopens = which, at end
end

local shut = redis.call('GET', KEYS[4])
if shut then
  local at, why = string.match(shut, '^(%d+) (.*)$')
  if tonumber(at) > second then close(why, tonumber(at)) end
end

-- The windows: the limit-th newest entry of a window must leave it before one more fits.
local log = windows > 0 and redis.call('GET', KEYS[2]) or ''
local limit, mask, opened, length, finish, count = {}, {}, {}, {}, {}, {}
for i = 1, windows do
  local period
  limit[i], period, mask[i] = struct.unpack('>i4i4i4', ARGV[8], (i - 1) * 12 + 1)
  count[i] = 0
  if period > 0 then
    opened[i], length[i] = second - period, period
  else
    opened[i], finish[i] = calendar(period)
  end
end
for at = #log - 3, 1, -4 do
  local mark = struct.unpack('>I4', log, at)
  local sent, lane_bit = ORIGIN + floor(mark / 4), 2 ^ (mark % 4)
  for i = 1, windows do
    if sent >= opened[i] and bit.band(mask[i], lane_bit) ~= 0 then
      count[i] = count[i] + 1
      if count[i] == limit[i] then close(i, finish[i] or sent + length[i] + 1) end
    end
  end
end

-- The caps.
local names, starts, counts = {}, {}, {}
for at = 13, #ARGV, 3 do names[#names + 1] = ARGV[at] end
if #names > 0 then
  local stored = redis.call('HMGET', KEYS[3], unpack(names))
  for i = 1, #names do
    local at = 13 + (i - 1) * 3
    local start, ends = calendar(tonumber(ARGV[at + 2]))
    local used = 0
    if stored[i] then
      local stored_start, stored_count = string.match(stored[i], '^(%d+) (%d+)$')
      -- A period that is newer than ours: the clock was set back. Counting on is never too generous.
      if tonumber(stored_start) >= start then start, used = tonumber(stored_start), tonumber(stored_count) end
    end
    if used >= tonumber(ARGV[at + 1]) then close(windows + i, ends) end
    starts[i], counts[i] = start, used + 1
  end
end

if closed then return {'CLOSED', closed, reopens * 1000000 - now} end

local claimed = {'calling', math.max(unknowns, counted), since, code, token, now + lease, now, ''}
if keep > 0 then
  claimed[8] = struct.pack('>I4', (second - ORIGIN) * 4 + class)
  local from = 1
  while from < #log and ORIGIN + floor(struct.unpack('>I4', log, from) / 4) < second - keep do from = from + 4 end
  redis.call('SET', KEYS[2], string.sub(log, from) .. claimed[8], 'EX', keep)
end
for i = 1, #names do
  redis.call('HSET', KEYS[3], names[i], string.format('%d %d', starts[i], counts[i]))
  claimed[#claimed + 1] = names[i]
  claimed[#claimed + 1] = starts[i]
end
redis.call('SET', KEYS[1], cmsgpack.pack(claimed), 'EX', memory)
take_probes(KEYS[5], scopes, probes, now, lease, ARGV[9])
return {'ADMITTED', unpack(probes)}
