-- When the windows of a recipient let one more pass; scripts.py puts it between places.lua and admit.lua.
--
-- Events are two lists: instants in order, and the bits of their classes.
local function add_event(instants, bits, instant, bit_of)
  local at = #instants
  while at > 0 and instants[at] > instant do
    instants[at + 1], bits[at + 1] = instants[at], bits[at]
    at = at - 1
  end
  instants[at + 1], bits[at + 1] = instant, bit_of
end

-- When one more fits into a rolling window that has the events `instants`, from `at` on. A block of `limit` events that
-- is shorter than the window bars everything that is less than its length before the last and after the first of it.
-- An event leaves the window when the tick that it is in has done so.
local function fit_rolling(at, window)
  local instants, limit, length = window.instants, window.limit, window.length
  while window.first + limit - 1 <= #instants do
    local newest, opens = instants[window.first + limit - 1], instants[window.first] + TICK + length
    if at - at % TICK <= newest - length - TICK then break end
    if newest < opens and at < opens then at = math.ceil(opens / TICK) * TICK end
    window.first = window.first + 1
  end
  return at
end

local function fit_calendar(at, window)
  local instants = window.instants
  while true do
    local start, ends = calendar(window.period, floor(at / 1000000))
    local count = 0
    while window.first <= #instants and instants[window.first] < start * 1000000 do window.first = window.first + 1 end
    while window.first + count <= #instants and instants[window.first + count] < ends * 1000000 do count = count + 1 end
    if count < window.limit then return at end
    at = ends * 1000000
  end
end

-- The first instant from `at` on at which one more fits between the events into each of `windows`, and which of them is
-- the last to let it (nil: none stands against `at`).
local function first_fit(at, windows, instants, bits)
  local counted = {} -- by a window's mask
  for _, window in ipairs(windows) do
    local of_mask = counted[window.mask]
    if not of_mask then
      of_mask = {}
      for i = 1, #instants do
        if bit.band(window.mask, bits[i]) ~= 0 then of_mask[#of_mask + 1] = instants[i] end
      end
      counted[window.mask] = of_mask
    end
    window.instants, window.first = of_mask, 1
  end
  local last, before
  repeat
    before = at
    for _, window in ipairs(windows) do
      local opens = window.length and fit_rolling(at, window) or fit_calendar(at, window)
      if opens > at then at, last = opens, window.which end
    end
  until at == before
  return at, last
end
