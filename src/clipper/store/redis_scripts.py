"""What a journal does on a Redis, each in one step.

Keys, after the prefix of the cluster:

- ``journal``: the last ``position`` given, and the ``checkpoint``
- ``feedback``: a stream of feedback and orders to forget, by position; ``feedback:APP``: the positions of one
  application
- ``given``: query ids that feedback was given for -> its position
- ``users``: position -> user, who can be forgotten there; ``orders``: the positions of orders to forget
- ``decisions:N``: first and last query id -> decisions, of the queries ``N * BUCKET`` and up; ``kept``: these N by
  time, ``counts``: how many decisions each has, and all
- ``states:APP``: user -> epoch, position and state; ``ended``: who has been forgotten in them, by position
"""

from __future__ import annotations

from typing import Final

from clipper.store.redis_server import Script

_LAST: Final = """
local function last_position() return tonumber(call('HGET', P .. 'journal', 'position') or 0) end
local function checkpoint() return tonumber(call('HGET', P .. 'journal', 'checkpoint') or 0) end
local function add(position, query_id, app, user, record)
  local id = whole(position) .. '-0'
  call('XADD', P .. 'feedback', id, 'app', app, 'id', query_id, 'record', record)
  if user ~= '' then call('HSET', P .. 'users', whole(position), user) end
  call('HSET', P .. 'journal', 'position', whole(position))
end
"""
_ENTRIES: Final = """
local function position_of(entry) return string.match(entry[1], '^%d+') end
local function tell(found, entry)
  found[#found + 1] = position_of(entry)
  found[#found + 1] = call('HGET', P .. 'users', position_of(entry)) or ''
  found[#found + 1] = entry[2][6]
end
local function drop(entry)
  local app, query_id, position = entry[2][2], entry[2][4], position_of(entry)
  call('XDEL', P .. 'feedback', entry[1])
  call('HDEL', P .. 'users', position)
  call('ZREM', P .. 'orders', position)
  if query_id ~= '' then
    call('HDEL', P .. 'given', query_id)
    call('XDEL', P .. 'feedback:' .. app, entry[1])
    if call('XLEN', P .. 'feedback:' .. app) == 0 then call('DEL', P .. 'feedback:' .. app) end
  end
end
"""

APPEND: Final = Script(
    _LAST
    + """
local last = math.max(last_position(), tonumber(ARGV[2]))
local before, new = whole(last), {}
for i = 3, #ARGV, 4 do
  local is_new = call('HSETNX', P .. 'given', ARGV[i], whole(last + 1))
  if is_new == 1 then
    last = last + 1
    add(last, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
    call('XADD', P .. 'feedback:' .. ARGV[i + 1], whole(last) .. '-0', '-', '')
  end
  new[#new + 1] = is_new
end
return {before, whole(last), new}
"""
)
"""The highest position that the caller knows; query id, application, user and record of each."""

ORDER: Final = Script(
    _LAST
    + """
local position = math.max(last_position(), tonumber(ARGV[2])) + 1
local app, user, record = ARGV[3], ARGV[4], ARGV[5]
if user ~= '' then
  call('HDEL', P .. 'states:' .. app, user)
  call('ZREM', P .. 'ended', app .. '\\0' .. user)
end
add(position, '', app, user, record)
call('ZADD', P .. 'orders', position, whole(position))
return whole(position)
"""
)

READ: Final = Script(
    _ENTRIES
    + """
local found, from = {}, whole(ARGV[2] + 1) .. '-0'
for _, entry in ipairs(call('XRANGE', P .. 'feedback', from, '+', 'COUNT', ARGV[3])) do tell(found, entry) end
return found
"""
)

EXPORT: Final = Script(
    _ENTRIES
    + """
local found, from = {}, whole(ARGV[3] + 1) .. '-0'
for _, place in ipairs(call('XRANGE', P .. 'feedback:' .. ARGV[2], from, '+', 'COUNT', ARGV[4])) do
  for _, entry in ipairs(call('XRANGE', P .. 'feedback', place[1], place[1])) do tell(found, entry) end
end
return found
"""
)

UNNAME: Final = Script("""
local app, user, before = ARGV[3], ARGV[4], tonumber(ARGV[5])
local step = call('HSCAN', P .. 'users', ARGV[2], 'COUNT', 1000)
for i = 1, #step[2], 2 do
  local position = step[2][i]
  if step[2][i + 1] == user and tonumber(position) < before then
    local entry = call('XRANGE', P .. 'feedback', position .. '-0', position .. '-0')[1]
    if not entry or entry[2][2] == app then call('HDEL', P .. 'users', position) end
  end
end
return step[1]
""")
"""One step through all users: those of feedback before the order lose their name."""

DROP_OLD: Final = Script(
    _LAST
    + _ENTRIES
    + """
local to = math.min(checkpoint(), last_position() - tonumber(ARGV[2]))
if to < 1 then return 0 end
local old = call('XRANGE', P .. 'feedback', '-', whole(to) .. '-0', 'COUNT', ARGV[3])
for _, entry in ipairs(old) do drop(entry) end
return #old
"""
)

DROP_APP: Final = Script(
    _ENTRIES
    + """
local app, to = ARGV[2], ARGV[3] .. '-0'
local places = call('XRANGE', P .. 'feedback:' .. app, '-', to, 'COUNT', ARGV[4])
for _, place in ipairs(places) do
  for _, entry in ipairs(call('XRANGE', P .. 'feedback', place[1], place[1])) do drop(entry) end
end
if #places > 0 then return #places end
for _, position in ipairs(call('ZRANGEBYSCORE', P .. 'orders', '-inf', ARGV[3])) do
  local entry = call('XRANGE', P .. 'feedback', position .. '-0', position .. '-0')[1]
  if entry and entry[2][2] == app then drop(entry) end
end
for _, whose in ipairs(call('ZRANGE', P .. 'ended', 0, -1)) do
  if string.match(whose, '^(.-)%z') == app then call('ZREM', P .. 'ended', whose) end
end
call('DEL', P .. 'states:' .. app)
return 0
"""
)
"""Feedback of an application first, a step at a time; the last step takes the rest."""

SAVE: Final = Script(
    _LAST
    + _ENTRIES
    + """
local kept = whole(checkpoint())
local orders = call('ZRANGEBYSCORE', P .. 'orders', '-inf', kept)
for _, position in ipairs(orders) do
  local entry = call('XRANGE', P .. 'feedback', position .. '-0', position .. '-0')[1]
  if entry then drop(entry) else call('ZREM', P .. 'orders', position) end
end
if #orders > 0 then
  for _, whose in ipairs(call('ZRANGEBYSCORE', P .. 'ended', '-inf', kept)) do
    local app, user = string.match(whose, '^(.-)%z(.*)$')
    call('HDEL', P .. 'states:' .. app, user)
    call('ZREM', P .. 'ended', whose)
  end
end
for i = 3, #ARGV, 6 do
  local app, user, epoch, position, state, ends = unpack(ARGV, i, i + 5)
  local kept_epoch, kept_position = string.match(call('HGET', P .. 'states:' .. app, user) or '', '^(%d+) (%d+) ')
  local further = not kept_epoch or tonumber(epoch) > tonumber(kept_epoch)
  if further or (tonumber(epoch) == tonumber(kept_epoch) and tonumber(position) > tonumber(kept_position)) then
    call('HSET', P .. 'states:' .. app, user, epoch .. ' ' .. position .. ' ' .. state)
    call('ZREM', P .. 'ended', app .. '\\0' .. user)
    if ends == '1' then call('ZADD', P .. 'ended', position, app .. '\\0' .. user) end
  end
end
call('HSET', P .. 'journal', 'checkpoint', whole(math.max(tonumber(kept), tonumber(ARGV[2]))))
"""
)
"""First goes the last that names users who were forgotten: at the save before, every frontend had heard of it."""

LOAD: Final = Script("""
local found = {}
for i = 2, #ARGV, 2 do found[#found + 1] = call('HGET', P .. 'states:' .. ARGV[i], ARGV[i + 1]) end
return found
""")

REMEMBER: Final = Script("""
local bucket, count, at, extent, piece = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local oldest, most, lifetime = ARGV[7], tonumber(ARGV[8]), ARGV[9]
local function drop(gone)
  call('DEL', P .. 'decisions:' .. gone)
  call('HINCRBY', P .. 'counts', 'all', -tonumber(call('HGET', P .. 'counts', gone) or 0))
  call('HDEL', P .. 'counts', gone)
  call('ZREM', P .. 'kept', gone)
end
if call('HSET', P .. 'decisions:' .. bucket, extent, piece) == 1 then
  call('HINCRBY', P .. 'counts', bucket, count)
  call('HINCRBY', P .. 'counts', 'all', count)
end
call('ZADD', P .. 'kept', at, bucket)
for _, gone in ipairs(call('ZRANGEBYSCORE', P .. 'kept', '-inf', oldest, 'LIMIT', 0, 100)) do drop(gone) end
while tonumber(call('HGET', P .. 'counts', 'all') or 0) > most and call('ZCARD', P .. 'kept') > 1 do
  drop(call('ZRANGE', P .. 'kept', 0, 0)[1])
end
for _, key in ipairs({'decisions:' .. bucket, 'kept', 'counts'}) do call('PEXPIRE', P .. key, lifetime) end
""")

RECALL: Final = Script(
    _ENTRIES
    + """
local pieces, query_id, feedback = {}, tonumber(ARGV[2]), {}
local key = P .. 'decisions:' .. ARGV[3]
for _, extent in ipairs(call('HKEYS', key)) do
  local first, last = string.match(extent, '^(%d+) (%d+)$')
  if tonumber(first) <= query_id and query_id <= tonumber(last) then
    pieces[#pieces + 1] = call('HGET', key, extent)
  end
end
local id = (call('HGET', P .. 'given', ARGV[2]) or '0') .. '-0'
for _, entry in ipairs(call('XRANGE', P .. 'feedback', id, id)) do tell(feedback, entry) end
return {pieces, feedback}
"""
)
"""A frontend that was killed has not kept its last decisions; those that had feedback are known by it."""

NAMING: Final = Script("""
local found, all = {}, call('HGETALL', P .. 'decisions:' .. ARGV[2])
for i = 1, #all, 2 do
  if string.find(all[i + 1], ARGV[3], 1, true) then
    found[#found + 1] = all[i]
    found[#found + 1] = all[i + 1]
  end
end
return found
""")

REPLACE: Final = Script("""
local key = P .. 'decisions:' .. ARGV[2]
if call('HGET', key, ARGV[3]) == ARGV[4] then call('HSET', key, ARGV[3], ARGV[5]) end
""")
