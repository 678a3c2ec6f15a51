-- Calendar periods of Asia/Singapore (UTC+8 all year); scripts.py puts it before the scripts that use it.

local DAY, EAST = 86400, 28800
local floor = math.floor

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

-- Start and end of the period (0: day, -1: month) that holds the second `at`, in seconds.
local function calendar(period, at)
  if period == 0 then
    local start = day_start(at)
    return start, start + DAY
  end
  local start = month_start(at)
  return start, month_start(start + 32 * DAY)
end
