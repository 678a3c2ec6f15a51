-- What the scripts about holds share; scripts.py puts it before each of them. The model is tests/models/hold_state.py.
--
-- A hold is a hash: code, since, by (provider or operator), probes (failed so far);
--   probe_at  when the next probe may be; absent: there are no probes   lease, prober  until when whose probe may last
--   until     when it ends by itself; absent: it does not               reason         the operator's words
-- Without a code nothing is held: failures (refusals in a row), or ramp_from and ramp_until (account, after a hold).
-- An index, a set, has the names of all holds and of what has failures. Its key, a colon and a name are the key of a
-- hold: all keys of a namespace are on one shard. All instants and lengths are microseconds.

local function clock(given)
  local now = tonumber(given)
  if now ~= 0 then return now end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- The hold, or nil when there is none or it has ended by itself.
local function read_hold(key, now)
  local stored = redis.call('HMGET', key,
    'code', 'since', 'by', 'probes', 'probe_at', 'lease', 'prober', 'until', 'reason')
  local ends = tonumber(stored[8])
  if not stored[1] or ends and ends <= now then return nil end
  return {
    code = stored[1], since = tonumber(stored[2]), by = stored[3], probes = tonumber(stored[4]),
    opens = stored[5] and math.max(tonumber(stored[5]), tonumber(stored[6] or 0)),
    prober = stored[7], ends = ends, reason = stored[9] or '',
  }
end

-- How a reply tells a hold: {code, by, us since it began, us until the next probe (-1: none), failed probes,
-- us until it ends by itself (-1: it does not), reason}
local function told(hold, now)
  return {
    hold.code, hold.by, math.max(0, now - hold.since), hold.opens and math.max(0, hold.opens - now) or -1, hold.probes,
    hold.ends and hold.ends - now or -1, hold.reason,
  }
end
