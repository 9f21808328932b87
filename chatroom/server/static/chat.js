// The page's side of the chat: docs/protocol.md over a WebSocket, and what is seen of it.
//
// Each part knows only those above it: texts (pure) - Outbox, Questions (what is owed) -
// Room (what was seen and missed) - Backoff, Connection - Chat (what follows from each
// frame) - rows, LogView (draws what is in sight) - Face (the rest of the page) - commands.
// What others wrote reaches the page as text nodes alone.

const PAGE = 200 // Messages asked for at once, the most that a server gives.
const OLDER = 100 // The same on scrolling up: it has to be there soon.
const FAR_BEHIND = 400 // Missed in a room that one had left: begin anew.
const OF_ANOTHER = 1000 // Messages shown of a log never seen before.
const MOST_KEPT = 20000 // Entries a room; older ones are fetched again.
const SILENCE = 30 // Seconds without a word until the server is asked for one.
const PATIENCE = 5 // Seconds for a good-bye, and until history is asked for again.
const ALIASES = 4 // Names tried where ours is taken; five hellos are allowed.
const NAMED = 500 // With more members they are not named.
const GUESS = 48 // The height of a row that was never drawn.
const TOGETHER = 300000 // Milliseconds that sayings stand under one name for.

// How far a connection has come: welcome, the first `room`, nothing from before in doubt.
const [OUT, GREETED, ARRIVED, SETTLED] = [0, 1, 2, 3]

// What it is that an error without a ref refuses.
const ABOUT = { "nick-taken": "nick", "nick-invalid": "nick", banned: "nick", full: "join", "room-invalid": "join" }
const PASSING = ["nick-taken", "full", "timeout", "internal"]

// --- texts

// What the server takes for a shout: Python's `str.isupper`, and enough capitals.
export function isShout(text, letters = 1) {
	if (/[\p{Lowercase}\p{Lt}]/u.test(text)) return false
	return (text.match(/\p{Uppercase}/gu) ?? []).length >= Math.max(1, letters)
}

function nickKey(nick) {
	const folded = nick.normalize("NFKC").toUpperCase().toLowerCase()
	return folded.replaceAll("ς", "σ").normalize("NFKC")
}

// Whether `text` has `nick` in it as a word of its own.
function names(text, nick) {
	const key = nickKey(nick).replaceAll(".", "\\.")
	const word = "[\\p{L}\\p{M}\\p{N}_]"
	return new RegExp(`(?<!${word}|${word}[-.])${key}(?!${word}|[-.]${word})`, "u").test(nickKey(text))
}

// A link without the punctuation of the sentence that it ends.
function withoutTail(link) {
	const count = (char) => link.split(char).length
	while (/[.,;:!?'*_”’»]$/.test(link) || (link.endsWith(")") && count(")") > count("("))) {
		link = link.slice(0, -1)
	}
	return link
}

const isGuest = (nick) => /^guest-\d+$/.test(nickKey(nick))
const roomOf = (text) => text.trim().replace(/^#/, "")
const targetOf = ({ nick, address }) => nick ?? address
const amount = (number, thing) => `${number.toLocaleString()} ${thing}${number === 1 ? "" : "s"}`

// What the browser keeps for us; some let nobody keep anything.
function recall(name, area = "sessionStorage") {
	try { return window[area].getItem(name) ?? "" } catch { return "" }
}

function keep(name, value, area = "sessionStorage") {
	try { window[area].setItem(name, value) } catch { /* It is forgotten, then. */ }
}

// --- what is owed

// All that is not answered, in order: sayings, and the `join` and `nick` between them.
// After a lost connection `cameBack? found* settle` decides what goes out once more.
export class Outbox {
	items = []
	#session = "" // The session that judges what was sent.

	add(frame, room, shout = false) {
		const says = "text" in frame
		if (says) frame.ref = crypto.getRandomValues(new BigUint64Array(1))[0].toString(16)
		const join = this.items.findLast(({ frame: { type } }) => type === "join")
		this.items.push({ frame, says, room: join?.frame.room ?? room, shout })
	}

	flush(send) {
		for (const item of this.items) {
			if (!item.sent) send(item.frame)
			item.sent = true
		}
	}

	answered(ref) {
		const at = this.#find(ref)
		if (at < 0) return null
		const { frame } = this.items[at]
		// What was asked before it is answered too.
		this.items = this.items.filter(({ says }, index) => index > at || (index < at && says))
		return frame
	}

	done(type, matches = () => true) {
		const at = this.items.findIndex(({ frame, sent }) => sent && frame.type === type && matches(frame))
		if (at < 0) return false
		this.items = this.items.filter(({ frame }, index) => index > at || frame.type !== type)
		return true
	}

	#find(ref) {
		return ref ? this.items.findIndex(({ frame, sent }) => sent && frame.ref === ref) : -1
	}

	// The session goes on, and has judged all up to `lastRef`.
	cameBack(lastRef) {
		for (const item of this.items.slice(0, this.#find(lastRef) + 1)) item.judged = true
	}

	// The log holds what was said as `ref`.
	found(ref) {
		const at = this.#find(ref)
		this.cameBack(ref)
		if (at >= 0) this.items.splice(at, 1)
	}

	// All that was missed of `room` is read: return what will not be said again.
	settle(session, room, torn) {
		const same = session === this.#session
		this.#session = session
		const owed = this.items.filter((item) => !item.sent || this.#isOwed(item, same, !torn && room))
		const dropped = this.items.filter((item) => item.says && !owed.includes(item))
		for (const item of owed) item.sent = item.judged = false
		this.items = owed
		return dropped
	}

	#isOwed({ frame: { type }, judged, shout, room }, same, readable) {
		// A join even where it was judged: our hello asked for the room before it.
		if (type === "join") return true
		if (same) return !judged
		// In a new session only the log can tell, and only of what it would hold.
		return type === "nick" || (!judged && type === "say" && !shout && room === readable)
	}

	get unanswered() {
		return this.items.filter(({ says }) => says)
	}
}

// What was asked and is not answered, in that order; an order is told of by its name.
export class Questions {
	#open = []

	ask(kind, take, order) {
		this.#open.push({ kind, take, order })
	}

	answered(...kinds) {
		const at = this.#open.findIndex(({ kind }) => kinds.includes(kind))
		return at < 0 ? null : this.#open.splice(at, 1)[0].take
	}

	// An error without a ref.  Only those to the log can fail, and orders; who is mute, or
	// no operator any more, is told so unasked.
	refused(code) {
		return this.answered(...({ muted: [], "not-allowed": ["op"] }[code] ?? ["history", "op"]))
	}

	// Return the orders that may have been carried out, or not.
	lost() {
		return this.#open.splice(0).flatMap(({ order }) => order ?? [])
	}
}

// --- what was seen and missed of a room

// What is shown in a log is data; `height` is that of its row once it was drawn.
const entry = (kind, fields) => ({ kind, at: Date.now(), height: GUESS, ...fields })
const notice = (text) => entry("notice", { text })

// A log with numbers: who comes back asks, page by page, for what stands after the last
// one seen; what is said meanwhile is left to the pages.  Returned is what to show.
class Room {
	entries = []
	log = "" // Whose numbers these are:
	lastId = 0 // The newest message seen, or known to be gone.
	first = 1 // The oldest one here.
	older = false // Whether there may be more before it.
	catchingUp = false
	torn = false // Whether something that was missed is gone.
	asked = false // Whether a page is on its way.
	#target = 0

	arrive(frame, back) {
		this.name = frame.room
		this.asked = false
		const behind = frame.last_id - this.lastId
		const near = frame.log === this.log && behind >= 0 && behind <= FAR_BEHIND
		return this.log && (back || near) ? this.#resume(frame) : this.#begin(frame)
	}

	#begin({ log, last_id, oldest_id }) {
		Object.assign(this, {
			entries: [], log, lastId: last_id, first: last_id + 1, older: oldest_id <= last_id,
			catchingUp: false, torn: false,
		})
		return []
	}

	#resume({ log, last_id, oldest_id }) {
		const told = []
		if (!this.catchingUp) this.torn = false
		if (log !== this.log) {
			told.push(notice("The server has another history now: what was said meanwhile may be gone."))
			this.log = log
			this.lastId = Math.min(Math.max(oldest_id - 1, last_id - OF_ANOTHER), last_id)
			this.older = false // What stands above has numbers of the other log.
		} else if (last_id < this.lastId) {
			told.push(notice(`The server has lost ${amount(this.lastId - last_id, "message")} that you have seen.`))
			this.lastId = last_id
		}
		this.#target = last_id
		this.catchingUp = last_id > this.lastId
		return told
	}

	// What asks for what was missed, or stands before, where there is any.
	get question() {
		return this.catchingUp ? { type: "history", after: this.lastId, limit: PAGE } : null
	}

	get olderQuestion() {
		return this.older && !this.catchingUp ? { type: "history", before: this.first, limit: OLDER } : null
	}

	live(frame) {
		if (frame.room !== this.name || frame.id <= this.lastId) return []
		if (this.catchingUp) {
			this.#target = Math.max(this.#target, frame.id)
			return []
		}
		this.lastId = frame.id
		return [frame]
	}

	missed(page) {
		const found = []
		for (const message of page.messages.filter(({ id }) => id > this.lastId)) {
			found.push(...this.#skipTo(message.id - 1), message)
			this.lastId = message.id
		}
		if (page.more && page.messages.length) return found
		this.catchingUp = false
		return [...found, ...this.#skipTo(this.#target)]
	}

	#skipTo(last) {
		const gone = last - this.lastId
		if (gone <= 0) return []
		this.lastId = last
		this.torn = true
		return [notice(`${amount(gone, "message")} that you missed: gone from the server.`)]
	}

	before(page) {
		if (page.log !== this.log) return []
		const found = page.messages.filter(({ id }) => id < this.first)
		this.first = found[0]?.id ?? this.first
		this.older = page.more && found.length > 0
		if (this.older) return found
		const begins = page.oldest_id > 1 ? "Older messages are not kept." : `This is where #${this.name} begins.`
		return [entry("notice", { text: begins, at: NaN }), ...found]
	}

	trim() {
		if (this.entries.length <= MOST_KEPT) return
		this.entries.splice(0, MOST_KEPT / 4)
		this.first = this.entries.find(({ id }) => id)?.id ?? this.first
		this.older = true
	}
}

// --- the connection

// Waits double up to a limit, and each is shaken after that.
export class Backoff {
	#base = 0

	constructor(chance = Math.random) {
		this.chance = chance
	}

	next() {
		const first = !this.#base
		this.#base = Math.min(2 * this.#base || 0.5, 30)
		// All lose a server in one moment: spread over the whole of the first wait.
		return this.#base * (first ? 2 * this.chance() : 0.75 + 0.5 * this.chance())
	}
}

// One WebSocket at a time.  A server that is gone says nothing: it is asked for a word,
// and then given up.
class Connection {
	#socket = null
	#silent = 0 // How often in a row nothing had been heard.
	#timer = 0

	constructor(user) {
		this.user = user
	}

	open() {
		this.close()
		const socket = new WebSocket("/chat")
		const mine = (act) => (event) => this.#socket === socket && act(event)
		socket.onopen = mine(() => this.user.hello())
		socket.onclose = mine(() => this.user.lost())
		socket.onmessage = mine(({ data }) => {
			this.#silent = 0
			this.user.received(JSON.parse(data))
		})
		this.#socket = socket
		this.#silent = 0
		this.#timer = setInterval(() => this.#listen(), SILENCE * 1000)
	}

	send(frame) {
		if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame))
	}

	close() {
		clearInterval(this.#timer)
		this.#socket?.close()
		this.#socket = null
	}

	#listen() {
		this.#silent += 1
		if (this.#silent > 2) this.user.lost()
		else if (this.#silent > 1) this.send({ type: "ping" })
	}
}

// --- the chat

// One user's stay: `enter -> hello -> received* -> lost -> (again -> ...)`; the
// methods `on_...` take the frames of the server.
class Chat {
	state = "out" // out, entering, in, returning, leaving
	nick = recall("nick", "localStorage")
	token = recall("session")
	password = ""
	wanted = "lobby"
	room = null
	rooms = { __proto__: null } // By name.
	outbox = new Outbox()
	limits = {}
	strikes = 0
	count = 0
	topic = ""
	members = null // A set; `null` where they are too many.
	whisperer = ""
	#stage = OUT
	#mine = new Set() // What one was called while that mattered.
	#aliases = 0
	#questions = new Questions()
	#line = new Connection(this)
	#backoff = new Backoff()
	#timer = 0

	constructor(face) {
		this.face = face
	}

	enter(nick, room, password) {
		if (nickKey(nick) !== nickKey(this.nick)) this.#forget()
		this.#connect("entering", { nick, password, wanted: room })
	}

	// After a reload of the page: the tab has a session.
	resume(room) {
		this.#connect("returning", { nick: recall("nick"), wanted: room })
	}

	join(room) {
		if (this.state !== "out" && (this.room.name !== room || this.outbox.items.length)) this.ask({ type: "join", room })
	}

	ask(frame) {
		this.outbox.add(frame, this.room.name, isShout(frame.text ?? "", this.limits.shout_letters))
		this.#pump()
		this.face.pending()
	}

	leave() {
		const { state } = this
		this.state = "leaving"
		if (state !== "in") return this.lost()
		this.#line.send({ type: "leave" })
		this.#later(PATIENCE, () => this.lost())
	}

	askRooms(after, found = []) {
		if (this.#stage) this.#ask("rooms", { type: "rooms", after }, (page) => {
			found.push(...page.rooms)
			if (page.more) this.askRooms(found.at(-1).room, found)
			else this.face.rooms(found)
		})
	}

	askOlder() {
		if (this.#stage === SETTLED) this.#askHistory(this.room.olderQuestion, (page) => {
			const found = this.room.before(page).map((one) => this.#entryOf(one))
			this.room.entries.unshift(...found)
			this.face.log.changed(this.room.entries[found.length]) // It may stand under a name now.
		})
	}

	// One page at a time; where it cannot be had, it is asked for later.
	#askHistory(question, take) {
		const { room } = this
		if (!question || room.asked) return
		room.asked = true
		this.#ask("history", question, (page) => {
			const mine = page?.room === room.name
			room.asked = !mine
			if (!mine) this.#later(PATIENCE, () => { room.asked = false; this.#pump() })
			else if (room === this.room) take(page)
		})
	}

	// Have something done that only operators may.  It is not kept for later: by then it
	// could hit somebody else.  A key is kept nowhere.
	order(fields, take = ({ text }) => this.told(text)) {
		if (this.#stage < ARRIVED) return this.told("There is no connection: nothing was done.")
		const order = `/${fields.do} ${targetOf(fields) ?? ""}`.replace("/login", "/op").trim()
		this.#ask("op", { type: "op", ...fields }, (answer) => answer && take(answer), order)
	}

	askBans(after) {
		this.order({ do: "bans", after }, ({ bans, more }) => {
			if (bans.length || !after) this.told(bans.map(banText).join("\n") || "Nobody is banned.")
			if (more) this.askBans(targetOf(bans.at(-1)))
		})
	}

	#connect(state, as) {
		clearTimeout(this.#timer)
		Object.assign(this, { state, ...as })
		this.#aliases = 0
		this.face.standing("Connecting")
		this.#line.open()
	}

	// The name of a guest cannot be asked for, and comes with the session.
	hello(nick = this.token && isGuest(this.nick) ? "" : this.nick) {
		const [password, session] = [this.password || undefined, this.token || undefined]
		this.#line.send({ type: "hello", version: 1, nick: nick || undefined, room: this.wanted, password, session })
	}

	lost(why = "The connection is lost") {
		const { state } = this
		this.#close()
		if (state === "leaving") return this.#end("leave", "You have left.")
		if (state === "entering") return this.face.ask("There is no answer from the server.")
		const wait = this.#backoff.next()
		this.state = "returning"
		this.face.standing(why, wait)
		this.#later(wait, () => this.again())
	}

	#close() {
		clearTimeout(this.#timer)
		this.#line.close()
		this.state = "out"
		this.#stage = OUT
		for (const order of this.#questions.lost()) this.told(`No answer came to ${order}: it may have been done, or not.`)
	}

	again() {
		if (this.state === "returning") this.#connect("returning")
	}

	#later(seconds, act) {
		clearTimeout(this.#timer)
		this.#timer = setTimeout(act, seconds * 1000)
	}

	#end(reason, text) {
		this.#close()
		this.#backoff = new Backoff()
		if (reason !== "replaced") this.#forget()
		this.face.ended(reason, text)
	}

	#forget() {
		this.token = ""
		keep("session", "")
		this.outbox = new Outbox()
		this.#mine.clear()
		this.face.pending()
	}

	received(frame) {
		const take = this.#questions.answered(frame.type) ?? this[`on_${frame.type}`]
		take?.call(this, frame)
		this.#pump()
	}

	on_ping(frame) {
		this.#line.send({ ...frame, type: "pong" })
	}

	on_welcome({ nick, session, limits, strikes, last_ref }) {
		const back = this.state === "returning" && this.room
		if (session === this.token) this.outbox.cameBack(last_ref)
		else if (back) this.told("The server no longer knows your session: this is a new one.")
		if (back && nick !== this.nick) this.told(`You are now ${nick}.`)
		Object.assign(this, { token: session, limits, strikes })
		this.#stage = GREETED
		this.#called(nick)
		keep("session", session)
		this.#backoff = new Backoff()
	}

	#called(nick) {
		this.nick = nick
		this.#mine.add(nick)
		keep("nick", nick)
		if (!isGuest(nick)) keep("nick", nick, "localStorage")
	}

	on_room(frame) {
		const same = this.room?.name === frame.room
		const arriving = this.#stage === GREETED
		this.count = frame.count
		this.topic = frame.topic ?? ""
		if (arriving) this.#stage = ARRIVED
		else this.outbox.done("join", ({ room }) => room === frame.room)
		if (arriving || !same) this.#come(frame, same && arriving && this.state === "returning")
		this.state = "in"
		this.face.standing("")
		this.#settle()
		this.askRooms()
	}

	#come(frame, back) {
		this.wanted = frame.room
		this.room = this.rooms[frame.room] ??= new Room()
		const told = this.room.arrive(frame, back)
		this.face.entered()
		this.show(told)
		this.#askMembers()
	}

	#pump() {
		if (this.#stage < ARRIVED) return
		this.#askHistory(this.room.question, (page) => this.#missed(page))
		if (this.#stage === SETTLED) this.outbox.flush((frame) => this.#line.send(frame))
	}

	#missed(page) {
		const found = this.room.missed(page)
		for (const { from, ref } of found) if (this.#mine.has(from)) this.outbox.found(ref)
		this.show(found)
		this.#settle()
	}

	// All is read that was missed: decide what is owed.
	#settle() {
		if (this.#stage === SETTLED || this.room.catchingUp) return
		this.#stage = SETTLED
		for (const { frame, judged } of this.outbox.settle(this.token, this.room.name, this.room.torn)) {
			const what = judged ? "No answer came to" : "Not sent again, as it may have arrived"
			this.told(`${what}: ${frame.to ? `to ${frame.to}: ` : ""}${frame.text}`)
		}
		this.face.pending()
	}

	show(found) {
		const entries = found.map((one) => this.#entryOf(one))
		this.room.entries.push(...entries)
		this.face.appended(entries)
	}

	told(text) {
		this.show([notice(text)])
	}

	alarm(title, text) {
		this.show([entry("alarm", { title, text })])
	}

	#entryOf(one) {
		if (one.kind) return one
		const own = this.#mine.has(one.from)
		return entry(one.type, { ...one, own, mention: !own && names(one.text, this.nick) })
	}

	on_message(frame) {
		this.show(this.room.live(frame))
		this.#answered(frame)
	}

	on_whisper(frame) {
		this.show([frame])
		this.#answered(frame)
		if (!this.#mine.has(frame.from)) this.whisperer = frame.from
	}

	#answered({ ref, from }) {
		// Others see a ref too, and may use it.
		if (this.#mine.has(from) && this.outbox.answered(ref)) this.face.pending()
	}

	on_warning({ strikes, ref, text }) {
		this.strikes = strikes
		this.outbox.answered(ref)
		this.alarm("Warning", text)
		this.face.warned(text)
	}

	on_kick({ reason, text }) {
		if (["idle", "shutdown"].includes(reason)) return this.lost(text)
		if (reason !== "leave" && this.room) this.alarm("Disconnected", text)
		this.#end(reason, text)
	}

	on_error({ code, text, ref }) {
		if (!this.#stage) return this.#notLetIn(code, text)
		const said = this.outbox.answered(ref)
		if (said) return this.face.notSaid(said, text)
		if (!this.outbox.done(ABOUT[code])) this.#questions.refused(code)?.(null)
		this.told(text)
		this.face.where()
	}

	#notLetIn(code, text) {
		const returning = this.state === "returning"
		if (returning && code.startsWith("nick-") && this.#aliases < ALIASES) {
			this.#aliases += 1
			return this.hello([...this.nick].slice(0, 32 - this.#aliases).join("") + "_".repeat(this.#aliases))
		}
		if (returning && PASSING.includes(code)) return this.lost(text)
		this.#close()
		this.face.ask(text, code)
	}

	#ask(kind, frame, take, order) {
		this.#questions.ask(kind, take, order)
		this.#line.send(frame)
	}

	#askMembers() {
		this.members = this.count > NAMED ? null : new Set()
		this.face.members()
		if (this.members) this.#askWho(this.members)
	}

	#askWho(members, after) {
		this.#ask("members", { type: "who", after }, (page) => {
			if (members !== this.members) return
			for (const nick of page.members) members.add(nick)
			if (page.more) this.#askWho(members, page.members.at(-1))
			this.face.members()
		})
	}

	on_joined({ nick }) {
		this.count += 1
		this.members?.add(nick)
		this.#presence("joined", nick)
	}

	on_left({ nick, reason }) {
		this.count -= 1
		this.members?.delete(nick)
		this.#presence(reason === "leave" ? "left" : `left (${reason})`, nick)
	}

	#presence(how, nick) {
		let last = this.room.entries.at(-1)
		if (last?.kind !== "presence" || Date.now() - last.at > 60000) {
			last = entry("presence", { who: {} })
			this.show([last])
		}
		(last.who[how] ??= []).push(nick)
		this.face.log.changed(last)
		this.face.members()
	}

	on_renamed({ old, new: nick }) {
		this.members?.delete(old)
		this.members?.add(nick)
		if (old === this.nick) {
			this.#called(nick)
			this.outbox.done("nick", (frame) => frame.nick.normalize("NFC") === nick)
		}
		this.told(`${old} is now ${nick}`)
		this.face.members()
	}

	on_count({ count }) {
		this.count = count
		this.#askMembers()
	}

	on_op({ text }) {
		this.told(text)
	}

	on_topic({ topic, by }) {
		this.topic = topic
		this.told(topic ? `${by} has set the topic: ${topic}` : `${by} has taken the topic away`)
		this.face.where()
	}
}

// --- rows

const $ = (id) => document.getElementById(id)
const boxOf = (element) => element.getBoundingClientRect()

// `looks`: a class, or properties.
function make(name, looks, ...inside) {
	const properties = typeof looks === "string" ? { className: looks } : looks
	const element = Object.assign(document.createElement(name), properties)
	element.append(...inside)
	return element
}

function show(id, text) {
	$(id).textContent = text
}

// `act`, once for all calls of a moment: with the next frame, but a hidden page gets none.
function soon(act) {
	let due = false
	const go = () => {
		if (!due) return
		due = false
		act()
	}
	return () => {
		if (due) return
		due = true
		requestAnimationFrame(go)
		setTimeout(go, 50)
	}
}

// Have these rows in a list, and leave alone what is there: it may be under a finger.
function place(list, rows) {
	for (const row of [...list.children].filter((row) => !rows.includes(row))) {
		if (row.contains(document.activeElement)) list.parentElement.focus({ preventScroll: true })
		row.remove()
	}
	rows.forEach((row, index) => row === list.children[index] || list.insertBefore(row, list.children[index]))
}

const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" })
const CALENDAR = new Intl.DateTimeFormat([], { weekday: "long", day: "numeric", month: "long" })

// The day of a time, "" for one that no calendar has.
const dayOf = (at) => (isNaN(new Date(at)) ? "" : new Date(at).toDateString())

function banText(ban) {
	const { until, by, reason } = ban
	const end = new Date(until).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })
	return `${targetOf(ban)} – ${until ? `until ${end}` : "for good"}, by ${by}${reason && `: ${reason}`}`
}

const timeOf = ({ at }) => make("time", "time", dayOf(at) ? CLOCK.format(at) : "--:--")

function styleOf(nick) {
	let hash = 2166136261
	for (const char of nickKey(nick)) hash = Math.imul(hash ^ char.codePointAt(0), 16777619)
	return `--hue: ${((hash >>> 8) % 24) * 15}`
}

const discOf = (nick) => make("span", { className: "disc", ariaHidden: "true", style: styleOf(nick) }, [...nick][0])
const youOf = (own) => (own ? [make("span", "you", "you")] : [])

function nickOf(nick, disc = "", ...more) {
	return make("button", { className: "nick", value: nick, style: styleOf(nick) }, disc, nick, ...more)
}

function textOf(text) {
	const shown = make("p", { className: "text", dir: "auto" })
	let done = 0
	for (const { 0: match, index } of text.matchAll(/\bhttps?:\/\/[^\s<>"]+/giu)) {
		const href = withoutTail(match)
		if (!URL.canParse(href)) continue
		const link = make("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, href)
		shown.append(text.slice(done, index), link)
		done = index + href.length
	}
	shown.append(text.slice(done))
	return shown
}

// Whether `one` stands under the same name as `before`.
function goesOn(one, before) {
	const alike = ({ kind, from, at }) => `${kind} ${from} ${dayOf(at)}`
	return one.kind === "message" && before && alike(one) === alike(before) && one.at - before.at < TOGETHER
}

function rowOf(one, before) {
	const on = goesOn(one, before)
	const marks = ["item", one.kind, on && "on", one.own && "own", one.mention && "mention"]
	const row = make("li", marks.filter(Boolean).join(" "))
	if (dayOf(one.at) && dayOf(one.at) !== dayOf(before?.at)) row.append(make("div", "day", CALENDAR.format(one.at)))
	row.append(make("div", "body", ...BODIES[one.kind](one, on)))
	return row
}

function saying(one, ...head) {
	return [discOf(one.from), make("div", "name", ...head, timeOf(one)), textOf(one.text)]
}

const BODIES = {
	message(one, on) {
		if (on) return [timeOf(one), textOf(one.text)]
		return saying(one, nickOf(one.from), ...youOf(one.own))
	},
	whisper(one) {
		if (one.own) return saying(one, "you whisper to", nickOf(one.to))
		return saying(one, nickOf(one.from), "whispers to you")
	},
	notice: ({ text }) => [make("p", "text", text)],
	presence({ who }) {
		const parts = Object.entries(who).map(([how, nicks]) => {
			const named = nicks.length > 4 ? [...nicks.slice(0, 3), `${nicks.length - 3} more`] : nicks
			return `${named.join(", ")} ${how}`
		})
		return BODIES.notice({ text: parts.join("; ") })
	},
	alarm: (one) => [make("div", "name", make("strong", "", one.title), timeOf(one)), ...BODIES.notice(one)],
}

// --- the log

const MARGIN = 600 // Pixels above and below the sight that are drawn as well.

// Draws what is in sight of any number of entries.  Heights are guessed until drawn;
// what the reader looks at stays in its place.
class LogView {
	stuck = true // Whether it follows what is said.
	draw = soon(() => { this.#draw(); this.drawn() })
	scroller = $("scroller")
	list = $("list")
	#entries = []
	#rows = new Map() // Entry -> its row, for those drawn, in their order.
	#top = 0
	#width = 0

	constructor(drawn) {
		this.drawn = drawn
		this.scroller.addEventListener("scroll", () => this.#scrolled())
		new ResizeObserver(() => this.#resized()).observe(this.scroller)
	}

	// The array stays the caller's, who calls `draw` for what is new in it.
	open(entries) {
		if (entries === this.#entries) return
		this.#rows.clear()
		this.#entries = entries
		this.follow()
	}

	follow() {
		this.stuck = true
		this.draw()
	}

	changed(one) {
		this.#rows.delete(one)
		this.draw()
	}

	#scrolled() {
		const { scrollTop, clientHeight, scrollHeight } = this.scroller
		if (scrollTop + clientHeight > scrollHeight - 24) this.stuck = true
		else if (scrollTop < this.#top - 1) this.stuck = false // Else something has grown.
		this.#top = scrollTop
		this.draw()
	}

	#resized() {
		const width = this.scroller.clientWidth
		if (width !== this.#width) this.#entries.forEach((one) => { one.height = GUESS })
		this.#width = width
		this.draw()
	}

	#draw() {
		const anchor = this.stuck ? null : this.#topmost()
		// What is measured may show that others are in sight than was guessed.
		for (let pass = 0; pass < 5; pass++) if (!this.#drawOnce(anchor)) break
	}

	// What is topmost in sight, and where: by its row, for more may stand before it by now.
	#topmost() {
		const { top, bottom } = boxOf(this.scroller)
		for (const [one, row] of this.#rows) {
			const box = boxOf(row)
			if (box.bottom > top && box.top < bottom) return { one, y: box.top - top }
		}
		let y = -this.scroller.scrollTop
		const one = this.#entries.find((each) => (y += each.height) > 0)
		return one && { one, y: y - one.height }
	}

	// Return whether heights are other than thought.
	#drawOnce(anchor) {
		const { scroller, list } = this
		const { above, before, seen, below } = this.#sight(anchor)
		this.#rows = new Map(seen.map((one, at) => [one, this.#rows.get(one) ?? rowOf(one, seen[at - 1] ?? before)]))
		place(list, [...this.#rows.values()])
		list.style.paddingBlock = `${above}px ${below}px`
		let wrong = false
		for (const [one, row] of this.#rows) {
			const { height } = boxOf(row)
			wrong ||= Math.abs(height - one.height) > 0.5
			one.height = height || GUESS
		}
		const top = anchor ? this.#topOf(anchor.one) - anchor.y : scroller.scrollHeight
		if (Math.abs(scroller.scrollTop - top) > 1) scroller.scrollTop = top
		this.#top = scroller.scrollTop
		return wrong
	}

	#topOf(one) {
		let y = 0
		for (const each of this.#entries) {
			if (each === one) break
			y += each.height
		}
		return y
	}

	// The entries in sight or nearly so, the one before them, and the heights of all others.
	#sight(anchor) {
		const view = this.scroller.clientHeight
		const top = this.#topOf(anchor?.one) - (anchor?.y ?? view)
		const seen = []
		let above = 0, below = 0, y = 0, before
		for (const one of this.#entries) {
			const { height } = one
			if (y >= top + view + MARGIN) below += height
			else if (y + height >= top - MARGIN) seen.push(one)
			else [above, before] = [above + height, one]
			y += height
		}
		return { above, before, seen, below }
	}
}

// --- the page

class Face {
	#unread = 0
	#hinted = "" // What the hint was about.
	#seconds = 0

	constructor() {
		this.chat = new Chat(this)
		this.log = new LogView(() => this.#drawn())
		this.#listen()
		const room = this.#hash() || "lobby"
		$("nick").value = this.chat.nick
		$("entry-room").value = room
		if (this.chat.token) this.chat.resume(room)
		else this.ask("")
	}

	#hash() {
		return /^#([a-z0-9][a-z0-9_-]{0,31})$/.exec(location.hash)?.[1] ?? ""
	}

	#listen() {
		on("entry-form", "submit", () => this.#enter())
		on("say", "submit", () => this.#submit())
		on("go", "submit", () => this.#go())
		on("text", "keydown", (event) => this.#key(event))
		on("text", "input", () => this.#typed())
		on("leave", "click", () => this.chat.leave())
		on("down", "click", () => this.log.follow())
		on("banner-button", "click", () => this.#again())
		on("warning-button", "click", () => this.#understood())
		on("operator-close", "click", () => $("operator").close())
		on("operator-form", "submit", () => this.#showKey())
		on("operator", "close", () => { $("key").value = "" })
		on("ended-again", "click", () => this.#again())
		for (const which of ["rooms", "members"]) {
			on(`${which}-panel`, "toggle", ({ newState }) => newState === "open" && this.#look(which))
			on(which, "keydown", (event) => roam(event, $(which)))
		}
		on(document, "click", ({ target }) => this.#clicked(target.closest("a, button")))
		on(document, "keydown", ({ key }) => key === "Escape" && this.#escape())
		on(window, "focus", () => this.log.draw())
		on(window, "resize", () => this.#typed())
		on(window, "hashchange", () => this.chat.room && this.#hash() && this.chat.join(this.#hash()))
		on(window, "online", () => this.chat.again())
		on(window, "beforeunload", (event) => this.chat.outbox.unanswered.length && event.preventDefault())
		setInterval(() => document.hidden || this.chat.askRooms(), 30000)
		setInterval(() => this.#countDown(), 1000)
	}

	#enter() {
		show("entry-error", "")
		$("enter").disabled = true
		this.chat.enter($("nick").value.trim(), roomOf($("entry-room").value) || "lobby", $("password").value)
	}

	ask(text, code) {
		$("entry").hidden = false
		$("app").hidden = true
		$("enter").disabled = false
		show("entry-error", text)
		if (code === "password") $("password-field").hidden = false
		const field = $({ password: "password", "room-invalid": "entry-room" }[code] ?? "nick")
		field.focus()
		field.select()
	}

	ended(reason, text) {
		if (!this.chat.room) return this.ask(text)
		const [title, again = "Join again"] = ENDS[reason] ?? ["You were disconnected"]
		this.hint("")
		this.#understood()
		this.standing(title)
		show("strikes", "")
		$("banner").classList.add("over")
		show("banner-button", again)
		show("ended-again", again)
		show("ended-title", title)
		show("ended-text", text)
		$("ended").className = reason
		$("ended").showModal()
	}

	#again() {
		const { chat } = this
		$("ended").close()
		if (chat.state !== "out") chat.again()
		else chat.enter(isGuest(chat.nick) && !chat.token ? "" : chat.nick, chat.wanted, chat.password)
		$("text").focus()
	}

	// How it is with the connection; "" where it is well.
	standing(text, wait = 0) {
		if (wait && !this.chat.room) this.ask(text)
		$("banner").hidden = !text
		$("banner").classList.remove("over")
		show("banner-text", text)
		show("banner-button", "Try now")
		this.#seconds = Math.ceil(wait)
		this.#countDown()
		$("text").disabled = $("send").disabled = $("leave").hidden = this.chat.state === "out"
	}

	#countDown() {
		show("banner-wait", this.#seconds > 0 ? `again in ${this.#seconds} s` : "")
		this.#seconds -= 1
	}

	entered() {
		const first = $("app").hidden
		$("entry").hidden = true
		$("app").hidden = false
		$("password").value = ""
		this.log.open(this.chat.room.entries)
		this.#shut()
		this.where()
		if (first) $("text").focus()
	}

	where() {
		const { room, topic, strikes, limits } = this.chat
		if (this.#hash() !== room.name) history[location.hash ? "pushState" : "replaceState"](null, "", `#${room.name}`)
		show("room", `#${room.name}`)
		$("text").placeholder = `Write to #${room.name}`
		show("topic", topic)
		show("strikes", strikes ? `strike ${strikes} of ${limits.strikes}` : "")
	}

	appended(entries) {
		const said = entries.filter(({ from, own }) => from && !own)
		if (!document.hasFocus() || !this.log.stuck) this.#unread += said.length
		for (const one of entries) this.#speak(one)
		if (this.log.stuck) this.chat.room.trim()
		this.log.draw()
	}

	#drawn() {
		const { log, chat } = this
		if (!chat.room) return
		if (log.stuck && document.hasFocus()) this.#unread = 0
		document.title = `${this.#unread ? `(${this.#unread}) ` : ""}#${chat.room.name} – chatroom`
		$("down").hidden = log.stuck
		show("down", this.#unread ? `${amount(this.#unread, "new message")} ↓` : "To the newest ↓")
		if ($("scroller").scrollTop < MARGIN) chat.askOlder()
	}

	// Have it read out: what is drawn is not, as it comes and goes on scrolling.
	#speak({ kind, text, from, own }) {
		if (own || !text || kind === "alarm") return
		const spoken = $("spoken")
		spoken.append(make("p", "", from ? `${from}${kind === "whisper" ? " whispers" : ""}: ${text}` : text))
		while (spoken.childElementCount > 10) spoken.firstChild.remove()
	}

	pending() {
		const rows = this.chat.outbox.unanswered.map(({ frame: { to, text }, sent }) => {
			const state = sent ? "sending" : "waiting"
			return make("li", state, make("p", "text", to ? `to ${to}: ` : "", text), make("span", "state", state))
		})
		$("pending").replaceChildren(...rows)
		this.log.draw()
	}

	warned(text) {
		$("warning").hidden = false
		show("warning-text", text)
		this.where()
		this.pending()
	}

	#understood() {
		$("warning").hidden = true
		$("text").focus()
	}

	notSaid({ to, text }, why) {
		this.chat.alarm("Not said", why)
		this.pending()
		if (!$("text").value) this.#fill(to ? `/msg ${to} ${text}` : text.replace(/^\//, "//"))
		this.hint(why)
	}

	members = soon(() => {
		const { members, count, nick } = this.chat
		const number = count.toLocaleString()
		for (const one of document.querySelectorAll("#count, [aria-current] .count")) one.textContent = number
		show("members-button", `${number} here`)
		$("crowd").hidden = Boolean(members)
		const sorted = [...(members ?? [])].sort(new Intl.Collator().compare)
		fill($("members"), sorted.map((name) => nickOf(name, discOf(name), ...youOf(name === nick))))
	})

	rooms(found) {
		fill($("rooms"), found.map(({ room, count }) => {
			const name = `#${room}`
			const ariaCurrent = room === this.chat.room.name ? "page" : null
			return make("a", { href: name, ariaCurrent }, name, make("span", "count", count.toLocaleString()))
		}))
	}

	#go() {
		this.chat.join(roomOf($("go-room").value))
		$("go-room").value = ""
		$("text").focus()
	}

	// Ask for an operator's key, out of sight; over plain http, tell why not.
	askKey(typed) {
		$("plain").hidden = isSecureContext
		$("key-field").hidden = $("key-send").hidden = !isSecureContext
		$("operator").showModal()
		if (isSecureContext) $("key").value = typed
	}

	#showKey() {
		const key = $("key").value.trim()
		$("operator").close()
		if (key) this.chat.order({ do: "login", key })
	}

	// Go to a list, which may be in its drawer.
	open(which) {
		if ($(`${which}-button`).offsetParent) $(`${which}-panel`).togglePopover(true)
		else this.#look(which)
	}

	#look(which) {
		this.chat.askRooms()
		const [first] = choices($(which)).concat(choices($(`${which}-panel`)))
		first.focus()
	}

	#shut() {
		const open = document.querySelector(":popover-open")
		open?.hidePopover()
		if (open) $("text").focus()
	}

	#clicked(chosen) {
		if (!chosen) return
		const { value: nick, dataset: { to } } = chosen
		if (chosen.matches(".close, .names *")) this.#shut()
		if (to) $(to).focus()
		if (nick && this.chat.state !== "out") this.#fill(`/msg ${nick} ${$("text").value.replace(/^\/msg \S+ ?/, "")}`)
	}

	#escape() {
		this.hint("")
		$("text").focus()
	}

	#key(event) {
		const { key, isComposing, shiftKey } = event
		const pages = { PageUp: -0.9, PageDown: 0.9 }[key]
		if (pages) $("scroller").scrollBy(0, pages * $("scroller").clientHeight)
		else if (key !== "Enter" || shiftKey || isComposing) return
		else this.#submit()
		event.preventDefault()
	}

	#fill(text) {
		$("text").value = text
		$("text").focus()
		this.#typed()
	}

	#typed() {
		const { style, value } = $("text")
		// A key must not be read over a shoulder, nor be said by mistake.
		const [, key] = /^\s*\/op(?:\s|(?=[\da-f]{16}))([^]*)/i.exec(value) ?? []
		if (key !== undefined) {
			this.#fill("")
			return this.askKey(key)
		}
		style.height = "auto"
		style.height = `${$("text").scrollHeight + 2}px`
		if (this.log.stuck) $("scroller").scrollTop = 1e9 // It was moved by the measuring.
		if (value !== this.#hinted) this.hint("")
	}

	hint(text) {
		this.#hinted = $("text").value
		show("hint", text)
	}

	#submit() {
		const line = $("text").value
		if (!line.trim() || this.chat.state === "out") return
		const why = this.#objection(line)
		if (why) return this.hint(why)
		this.#fill("")
		this.log.follow()
		run(this, line)
	}

	// Why a line is not sent, as nobody would hear it; a shout goes out the second time.
	#objection(line) {
		const { limits, strikes, outbox } = this.chat
		const text = spoken(line)
		const over = [...text].length - limits.text
		if (over > 0) return `That is too long, by ${amount(over, "character")}.`
		if (!isShout(text, limits.shout_letters) || (line === this.#hinted && $("hint").textContent)) return ""
		const strike = strikes + outbox.items.filter(({ shout }) => shout).length + 1
		const what = strike < limits.strikes ? "a warning" : "and you would be disconnected"
		return `All capitals: that would be strike ${strike} of ${limits.strikes}, ${what}. Enter again sends it.`
	}
}

const ENDS = {
	leave: ["Good-bye"],
	replaced: ["You go on in another window", "Take it back"],
	shouting: ["Disconnected for shouting"],
	operator: ["Disconnected by an operator"],
	banned: ["You are banned", "Try again"],
}

function on(target, type, act) {
	(target.addEventListener ? target : $(target)).addEventListener(type, (event) => {
		if (type === "submit") event.preventDefault()
		act(event)
	})
}

const choices = (list) => [...list.querySelectorAll("a, button")]

// Fill a list.  One of it is in the order of Tab, arrows reach the others.
function fill(list, all) {
	const old = new Map([...list.children].map((row) => [row.key, row]))
	place(list, all.map((one) => old.get(one.outerHTML) ?? make("li", { key: one.outerHTML }, one)))
	choices(list).forEach((one, index) => { one.tabIndex = index ? -1 : 0 })
}

function roam(event, list) {
	const all = choices(list)
	const at = all.indexOf(document.activeElement)
	const next = all[{ ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key]]
	if (!next) return
	event.preventDefault()
	all.forEach((one) => { one.tabIndex = one === next ? 0 : -1 })
	next.focus()
}

// --- commands

const TALK = {
	help: ["", "this list", ({ chat }) => chat.told(helpText())],
	msg: ["NICK TEXT", "tell one member alone", ({ chat, rest, text }) => chat.ask({ type: "whisper", to: rest.split(/\s/)[0], text })],
	r: ["TEXT", "answer who whispered last", ({ chat, text }) => {
		if (chat.whisperer) chat.ask({ type: "whisper", to: chat.whisperer, text })
		else chat.told("Nobody has whispered to you.")
	}],
	nick: ["NICK", "be called NICK", ({ chat, rest }) => chat.ask({ type: "nick", nick: rest })],
	join: ["ROOM", "go to a room", ({ chat, rest }) => chat.join(roomOf(rest))],
	who: ["", "who is here", ({ face }) => face.open("members")],
	rooms: ["", "which rooms there are", ({ face }) => face.open("rooms")],
	leave: ["", "leave; !leave does so too", ({ chat }) => chat.leave()],
}

const ORDERS = {
	op: ["", "show your key", ({ face }) => face.askKey("")],
	kick: ["NICK [REASON]", "disconnect a member"],
	ban: ["NICK|ADDRESS[/BITS] [TIME] [REASON]", "keep out, for 90s, 10m, 2h, 7d or for good"],
	unban: ["NICK|ADDRESS[/BITS]", "let in again"],
	bans: ["", "who is banned", ({ chat }) => chat.askBans()],
	mute: ["NICK [TIME] [REASON]", "let a member say nothing"],
	unmute: ["NICK", "let a member speak again"],
	pardon: ["NICK", "forget the strikes of a member"],
	topic: ["[TEXT]", "show the topic, or set it; - takes it away", topic],
	lock: ["", "let nobody new in"],
	unlock: ["", "let everybody in again"],
}

const COMMANDS = { __proto__: null, ...TALK, ...ORDERS }

function helpText() {
	const list = (commands) => Object.entries(commands).map(([name, [usage, about]]) => `/${name} ${usage}`.trim() + ` – ${about}`).join("\n")
	return `${list(TALK)}
//text – say a text that begins with a slash
Page keys and scrolling up show what was said before.

For operators:
${list(ORDERS)}`
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86400 }
const OCTET = "(25[0-5]|(2[0-4]|1\\d|[1-9]|)\\d)"
const ADDRESS = new RegExp(`^(${OCTET}\\.){3}${OCTET}$|[:/]`) // No nick has a colon or a slash.
// What the words of a usage stand for; nobody is banned for good by a slip in the time.
const FORMS = {
	NICK: "(?<who>\\S+)",
	TIME: "(\\s+(?<time>[1-9]\\d{0,5})(?<unit>[smhd])(?!\\S)|(?!\\s+\\d))",
	REASON: "(\\s+(?<reason>[^]+))?",
}

// What `/NAME REST` asks of the server, `null` where it is not of the form.
export function orderOf(name, rest) {
	const [usage] = ORDERS[name]
	const form = Object.entries(FORMS).map(([word, one]) => usage.includes(word) ? one : "").join("")
	const found = new RegExp(`^${form}$`).exec(rest.trim())
	if (!found) return null
	const { who, time, unit, reason } = found.groups ?? {}
	const which = usage.includes("ADDRESS") && ADDRESS.test(who) ? "address" : "nick"
	return { do: name, [which]: who?.replace(/^@/, ""), seconds: unit && time * UNITS[unit], reason }
}

function order({ chat, name, rest }) {
	const fields = orderOf(name, rest)
	return fields && chat.order(fields)
}

function topic({ chat, rest }) {
	if (rest) chat.order({ do: "topic", topic: rest === "-" ? "" : rest })
	else chat.told(chat.topic ? `The topic: ${chat.topic}` : "There is no topic.")
}

const isCommand = (line) => /^\/(?!\/)/.test(line)

// The text that a line says to anybody, "" where it says none.
function spoken(line) {
	if (!isCommand(line)) return line.replace(/^\//, "")
	return /^\/(?:r|msg\s+\S+)\s([^]*)/.exec(line)?.[1] ?? ""
}

function run(face, line) {
	const { chat } = face
	const text = spoken(line)
	if (!isCommand(line)) return chat.ask({ type: "say", text })
	const [, name, rest] = /^\/(\S*)\s*([^]*?)\s*$/.exec(line)
	const [usage, , act = order] = COMMANDS[name] ?? []
	if (usage === undefined) return chat.told(`There is no /${name}; /help tells what there is. Two slashes say one.`)
	const lacks = usage.endsWith("TEXT") ? !text.trim() : /^\w/.test(usage) && !rest
	if (lacks || act({ face, chat, name, rest, text }) === null) chat.told(`Write it so: /${name} ${usage}`.trim())
}

new Face()
