-- The rate that refused calls have taught: `rate_now` of core/limits/learned.py, in the same order of operations.

local REST, CREEP_FOR, DOUBLING, MEMORY = 2200000, 2500000, 500000, 86400000000
local CREEP, SLOW, DOUBLINGS = 0.012, 30, 32

local function slowness(rate) return math.max(1, SLOW / rate) end

local function growth(used)
  if used <= REST then return 0 end
  local creeping = used - REST
  if creeping <= CREEP_FOR then return CREEP * creeping / 1000000 end
  local doublings = math.min(DOUBLINGS, (creeping - CREEP_FOR) / DOUBLING)
  local whole = math.floor(doublings)
  local steps = 2 * (2 ^ whole * (1 + doublings - whole) - 1)
  return CREEP * (CREEP_FOR + DOUBLING * steps) / 1000000
end

-- Calls per window of a quota of `rate`; base is nil when no call was ever refused.
local function rate_now(base, used, refused_at, rate, now)
  if not base or base >= rate then return rate end
  local grown = base * (1 + growth(used / slowness(rate)))
  if grown >= rate then return rate end
  return grown + (rate - grown) * math.min(1, math.max(0, now - refused_at) / MEMORY)
end
