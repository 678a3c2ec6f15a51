-- The order in which a recipient's windows reopen: who was refused has a place in it. scripts.py puts it before the
-- scripts that keep places. The model is tests/models/places.py.
--
-- A recipient's places are a string, in the order in which they were given, 12 bytes each: a mark (see admit.lua) of
-- the instant from which on the request fits, and the name of the request.
--
-- Who has a place leaves room for everybody of a more urgent lane, and of its own lane for those whose place was given
-- earlier; nobody else needs to be on time for it to be kept. A place whose instant is long over lapses: the others no
-- longer leave room for it. Its owner may still come late, and those behind then move back.

local floor = math.floor
local TICK, TURN = 15625, 2 ^ 30 -- us; ticks until marks repeat: 194 days
local PLACE, NAME = 12, 8        -- bytes
local MOST = 256                 -- places of one recipient
local LAPSE = 3 * 64             -- ticks: the ladder of delays and a busy lane may be as late as this
local MEMORY = 600 * 64          -- ticks that a lapsed place is remembered

-- The name of a request: a part of the digest in the key of its entry.
local function name_of(entry_key)
  return string.sub(entry_key, -NAME)
end

-- Where in `places` the place of `name` begins, or nil.
local function find_place(places, name)
  local at = 0
  repeat at = string.find(places, name, at + 1, true) until not at or (at - 1) % PLACE == PLACE - NAME
  return at and at - (PLACE - NAME)
end

local function without_place(places, at)
  return string.sub(places, 1, at - 1) .. string.sub(places, at + PLACE)
end

-- Take the place at `at` out of `places`, which `key` has.
local function leave_place(key, places, at)
  if #places == PLACE then
    redis.call('DEL', key)
  else
    redis.call('SET', key, without_place(places, at), 'KEEPTTL')
  end
end

-- The tick of a mark that was read at `tick`; the clock may have been set back since it was written.
local function tick_of(mark, tick)
  local ahead = (floor(mark / 4) - tick) % TURN
  return tick + (ahead < TURN / 2 and ahead or ahead - TURN)
end

-- `places` without those that were due more than `age` ticks ago.
local function remembered(places, tick, age)
  local kept = {}
  for at = 1, #places, PLACE do
    if tick_of(struct.unpack('>I4', places, at), tick) + age > tick then
      kept[#kept + 1] = string.sub(places, at, at + PLACE - 1)
    end
  end
  return table.concat(kept)
end
