-- Counts n requests with all rules of a decision, or with none. KEYS are the rules' counts. ARGV is n and, for each rule, its requests,
-- its seconds or calendar, and what the gateway knows of its count, which Redis may have lost:
--   of a rate, the time in µs at which it allows all of its requests again,
--   of a quota, what was used, and the day on which that period began.
-- The reply is whether the requests pass, the time in µs and, for each rule, what remains and its count in the form above.
--
-- The count of a rate is a level and the time in µs at which it was valid. A request raises the level by the µs of the rule's seconds,
-- and in each µs it falls by the rule's requests. So the levels of usual rules are integers below 2^53, and exact. The count of a quota
-- is what was used, and the day on which that period began. Days are counted from 1970, in UTC.
local DAY = 86400
local clock = redis.call('TIME')
local seconds = tonumber(clock[1])
local now = seconds * 1000000 + tonumber(clock[2])
local today = math.floor(seconds / DAY)
local n = tonumber(ARGV[1])

-- month returns the first day of a day's month. Its years begin with March, so that a leap day is the last one.
local function month(day)
	local d = (day + 719468) % 146097
	local year = math.floor((d - math.floor(d / 1460) + math.floor(d / 36524) - math.floor(d / 146096)) / 365)
	d = d - (365 * year + math.floor(year / 4) - math.floor(year / 100))
	return day - (d - math.floor((153 * math.floor((5 * d + 2) / 153) + 2) / 5))
end

-- period returns the first day of a calendar's current period, and that of the next one.
local function period(calendar)
	if calendar == 'day' then return today, today + 1 end
	if calendar == 'week' then -- it begins on Monday; 1970 began on a Thursday
		local monday = today - (today + 3) % 7
		return monday, monday + 7
	end
	local first = month(today)
	return first, month(first + 31)
end

local function rate(level, at, requests, span, known)
	local r = {cost = span * 1000000, level = 0, mark = now, requests = requests}
	r.size = requests * r.cost
	if level then
		r.level = math.min(r.size, math.max(0, level - math.max(0, now - at) * requests))
		r.rewrite = at > now -- the clock was set back: the level falls again from now on
	end
	local other = (known - now) * requests
	if other <= r.size then r.level = math.max(r.level, other) end -- a level above the size is that of another clock
	return r
end

local function quota(used, since, requests, calendar, known, first)
	local start, stop = period(calendar)
	local r = {cost = 1, size = requests, level = 0, mark = start, ttl = (stop * DAY - seconds + 60) * 1000}
	if used and since >= start then r.level = used end -- a later period was begun by a clock that was set back since
	if first == start then r.level = math.max(r.level, known) end
	return r
end

local stored, rules, passes = redis.call('MGET', unpack(KEYS)), {}, true
for i = 1, #KEYS do
	local a, b
	if stored[i] then
		a, b = string.match(stored[i], '^(%S+) (%S+)$')
		a, b = tonumber(a), tonumber(b)
	end
	local requests, span, known = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
	if span then
		rules[i] = rate(a, b, requests, span, known)
	else
		rules[i] = quota(a, b, requests, ARGV[4 * i - 1], known, tonumber(ARGV[4 * i + 1]))
	end
	passes = passes and rules[i].level + n * rules[i].cost <= rules[i].size
end

local reply = {passes and 1 or 0, now}
for i, r in ipairs(rules) do
	if passes then r.level = r.level + n * r.cost end
	if passes and n > 0 or r.rewrite then
		local ttl = r.ttl or math.ceil(r.level / r.requests / 1000) + 1
		redis.call('SET', KEYS[i], string.format('%.0f %.0f', r.level, r.mark), 'PX', string.format('%.0f', ttl))
	end
	reply[2 * i + 1] = math.max(0, math.floor((r.size - r.level) / r.cost))
	reply[2 * i + 2] = r.requests and now + math.floor(r.level / r.requests) or r.level
end
return reply
