-- Count one message in every window of its recipient and in every cap, or in none and say when one more fits.
--
-- KEYS  1 recipient  string of 4-byte entries, oldest first: (seconds since 2020-09-13) * 4 + class of the lane
--       2 caps       hash: name of the cap -> '<start of its period> <count>'
-- ARGV  1 now in us (0: this server's clock)  2 class of the lane  3 seconds that an entry is kept (0: none is made;
--         only for a lane that is in no window)
--       4 windows of the lane, 12 bytes each: limit, period, mask of the classes that it counts (big-endian integers:
--         one argument, because packing arguments is what costs a client most)
--       then for each cap: name, limit, period
--       A period is a number of seconds, or 0: calendar day, -1: calendar month (of Asia/Singapore, UTC+8 all year)
-- Reply {1, entry, start of each cap's period ...} | {0, which (windows first, then caps; from 1), when it reopens}
--       Instants in seconds. Of several that are closed it names the last to reopen, so that one delay is enough.
--       Windows round up to the second: they open at most one second late and never early.

local ORIGIN, DAY, EAST = 1600000000, 86400, 28800
local floor = math.floor

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local second = floor(now / 1000000)
local class, keep, windows = tonumber(ARGV[2]), tonumber(ARGV[3]), #ARGV[4] / 12

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

-- The windows: the limit-th newest entry of a window must leave it before one more fits.
local log = windows > 0 and redis.call('GET', KEYS[1]) or ''
local limit, mask, since, length, finish, count = {}, {}, {}, {}, {}, {}
for i = 1, windows do
  local period
  limit[i], period, mask[i] = struct.unpack('>i4i4i4', ARGV[4], (i - 1) * 12 + 1)
  count[i] = 0
  if period > 0 then
    since[i], length[i] = second - period, period
  else
    since[i], finish[i] = calendar(period)
  end
end
for at = #log - 3, 1, -4 do
  local entry = struct.unpack('>I4', log, at)
  local sent, lane_bit = ORIGIN + floor(entry / 4), 2 ^ (entry % 4)
  for i = 1, windows do
    if sent >= since[i] and bit.band(mask[i], lane_bit) ~= 0 then
      count[i] = count[i] + 1
      if count[i] == limit[i] then close(i, finish[i] or sent + length[i] + 1) end
    end
  end
end

-- The caps.
local names, starts, counts = {}, {}, {}
for at = 5, #ARGV, 3 do names[#names + 1] = ARGV[at] end
if #names > 0 then
  local stored = redis.call('HMGET', KEYS[2], unpack(names))
  for i = 1, #names do
    local at = 5 + (i - 1) * 3
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

if closed then return {0, closed, reopens} end

local entry = ''
if keep > 0 then
  entry = struct.pack('>I4', (second - ORIGIN) * 4 + class)
  local from = 1
  while from < #log and ORIGIN + floor(struct.unpack('>I4', log, from) / 4) < second - keep do from = from + 4 end
  redis.call('SET', KEYS[1], string.sub(log, from) .. entry, 'EX', keep)
end
for i = 1, #names do
  redis.call('HSET', KEYS[2], names[i], string.format('%d %d', starts[i], counts[i]))
end
return {1, entry, unpack(starts)}
