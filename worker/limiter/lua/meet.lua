-- Whether the holds let a request pass; scripts.py puts it after hold_state.lua and before admit.lua.

-- Returns why not: {'HELD', which of `names`, the hold as it is told}; or nil, and the holds of which this request is
-- to be the probe. The first of `names` is the account: only the one passes to whom grant.lua gave its probe.
local function meet_holds(index, names, now, prober, has_probe)
  local due = {}
  if redis.call('EXISTS', index) == 0 then return nil, due end
  for which, name in ipairs(names) do
    local hold, passes = read_hold(index .. ':' .. name, now), true
    if hold and which == 1 then
      passes = hold.opens and has_probe and hold.prober == prober
    elseif hold then
      passes = hold.opens and hold.opens <= now
      due[#due + 1] = which
    end
    if not passes then return {'HELD', which, told(hold, now)} end
  end
  return nil, due
end

-- To be called when nothing else stands against the request.
local function take_probes(index, names, due, now, lease, prober)
  for _, which in ipairs(due) do
    redis.call('HSET', index .. ':' .. names[which], 'lease', now + lease, 'prober', prober)
  end
end
