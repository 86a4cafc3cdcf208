-- What both scripts need: the time, buckets, places and money. All numbers are whole and below 2^53, which a double
-- holds exactly; `%.0f` writes them without loss.
local TIME = redis.call('TIME')
local now = TIME[1] * 1000000 + TIME[2]
local now_ms = (now - now % 1000) / 1000
local MAX_POINTS = 4503599627370496
local TRILLION = 1000000000000
-- Ten years: longer than any bucket is meant to drain.
local LONGEST = 315360000000

-- Whether this server has less than a replica was told that it has.
local function sequence_lost(last, known)
  if known ~= '0' and (not last or tonumber(last) < tonumber(known)) then return 1 end
  return 0
end

local function whole(number) return string.format('%.0f', number) end

-- A bucket is `points:tick`, drained up to now; none is an empty one.
local function bucket_read(key, tick, per_tick)
  local points, at = 0, (now - now % tick) / tick
  local kept = redis.call('GET', key)
  if kept then
    local colon = string.find(kept, ':', 1, true)
    local last = tonumber(string.sub(kept, colon + 1))
    points = tonumber(string.sub(kept, 1, colon - 1))
    if at > last then
      points = math.max(0, points - (at - last) * per_tick)
    else
      at = last
    end
  end
  return points, at, kept
end

-- It lives until it will be empty, and a second more.
local function bucket_write(key, points, at, tick, per_tick, kept)
  if points > 0 then
    local free = (at + math.ceil(points / per_tick)) * tick
    local ttl = math.min(LONGEST, math.max(0, math.ceil((free - now) / 1000)) + 1000)
    redis.call('SET', key, whole(points) .. ':' .. whole(at), 'PX', whole(ttl))
  elseif kept then
    redis.call('DEL', key)
  end
end

-- Money is `dollars:trillionths`, the second from 0 to a trillion.
local function money(text)
  local colon = string.find(text, ':', 1, true)
  return tonumber(string.sub(text, 1, colon - 1)), tonumber(string.sub(text, colon + 1))
end

local function carry(dollars, parts)
  if parts >= TRILLION then return dollars + 1, parts - TRILLION end
  if parts < 0 then return dollars - 1, parts + TRILLION end
  return dollars, parts
end

local function money_text(dollars, parts) return whole(dollars) .. ':' .. whole(parts) end

-- The amount that a member of the leases holds, behind the lease's id.
local function member_money(member) return money(string.sub(member, string.find(member, ' ', 1, true) + 1)) end

-- What is reserved, without leases that have lapsed. A sum that was lost, or that outlived its leases, is made anew.
local function reserved_read(account, leases, kept)
  local dollars, parts = 0, 0
  if kept then
    dollars, parts = money(kept)
    local lapsed = redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now_ms), 'LIMIT', 0, 1000)
    for _, member in ipairs(lapsed) do
      local d, p = member_money(member)
      dollars, parts = carry(dollars - d, parts - p)
      redis.call('ZREM', leases, member)
    end
    if (dollars ~= 0 or parts ~= 0) and redis.call('ZCARD', leases) == 0 then dollars, parts = 0, 0 end
    if #lapsed > 0 then redis.call('HSET', account, 'r', money_text(dollars, parts)) end
  else
    redis.call('ZREMRANGEBYSCORE', leases, '-inf', whole(now_ms))
    for _, member in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
      local d, p = member_money(member)
      dollars, parts = carry(dollars + d, parts + p)
    end
  end
  return dollars, parts
end

-- An account lives for a while after its window's end (milliseconds since 1970; 0: there is no end).
local function account_expires(account, at)
  if at ~= '0' then redis.call('PEXPIREAT', account, at) end
end
