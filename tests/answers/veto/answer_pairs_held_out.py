# ruff: noqa: E501
"""More pairs of answers in the form of ``answer_pairs``, about other subjects.

They were written after the rules of the veto. At the first run it rejected 34 of the 36 opposites and passed all 72
rewordings.
"""

from itertools import combinations

OPPOSITES: list[tuple[str, str, str, str]] = [
    (
        "How long do I boil the eggs?",
        "Put the eggs into boiling water for 6 minutes, then cool them under the tap.",
        "Soft eggs need 10 minutes in boiling water. Afterwards hold them under cold water.",
        "number",
    ),
    (
        "Which Python does the package support?",
        "The package supports Python 3.9 and later. Install it with pip.",
        "Python 3.12 and later is supported by the package.",
        "version",
    ),
    ("In which year did the bridge open?", "1937", "The bridge was opened in 1933.", "short number"),
    ("Who painted it?", "Vermeer.", "Rembrandt.", "short name"),
    (
        "How many players are in a team?",
        "Each team has eleven players on the field.",
        "A team has nine players on the field, and some on the bench.",
        "spelled number",
    ),
    (
        "How heavy may hand luggage be?",
        "Your hand luggage may weigh 8 kg. It must fit under the seat.",
        "Hand luggage may weigh 8 lbs and has to fit under the seat.",
        "unit",
    ),
    (
        "How much memory does the job need?",
        "The job needs 512 MB of memory.",
        "Give the job 512 GB; the job needs that memory for the join.",
        "unit",
    ),
    (
        "How long is the notice period?",
        "The notice period is 4 weeks for both sides.",
        "For both sides, the notice period is 4 months.",
        "unit",
    ),
    (
        "How often should I water the plant?",
        "Water the plant weekly, and more in summer.",
        "You should water the plant every day. Use rain water.",
        "period",
    ),
    (
        "How is storage priced?",
        "Storage costs $5 per user and is charged on the first day.",
        "Storage costs $5 per organization. It is charged on the first day.",
        "unit",
    ),
    (
        "What does the ticket cost?",
        "The ticket costs 20 euros for adults.",
        "Adults pay 20 dollars for the ticket.",
        "currency",
    ),
    (
        "How did turnout change?",
        "Turnout fell by 5 percentage points against the last election.",
        "Turnout fell by 5 percent against the last election.",
        "unit",
    ),
    (
        "When does the market open?",
        "The market opens at 9 am on weekdays.",
        "On weekdays the market opens at 9 pm.",
        "time of day",
    ),
    (
        "How do I silence the doorbell at night?",
        "In the night menu, switch the chime off. The camera keeps recording.",
        "Open the night menu and turn on the chime.",
        "on/off",
    ),
    (
        "Should swap be used on the database host?",
        "Disable swap on the database host, because it makes queries slow.",
        "Swap should be enabled on the database host so that it never runs out of memory.",
        "on/off",
    ),
    (
        "Are dogs permitted in the park?",
        "The park allows dogs on a leash in all seasons.",
        "Dogs are prohibited in the park in all seasons.",
        "allow/deny",
    ),
    (
        "Is it safe to eat raw?",
        "It is safe to eat these mushrooms raw.",
        "These mushrooms are unsafe to eat raw. Cook them for a while.",
        "safe/unsafe",
    ),
    (
        "Can a sent letter be recalled?",
        "A posted letter can be recalled at the counter for a fee.",
        "It is not possible to recall a posted letter at the counter.",
        "possible/impossible",
    ),
    (
        "What does caffeine do to the heart rate?",
        "Caffeine raises the heart rate of most people for some hours.",
        "Caffeine lowers the heart rate of most people.",
        "increase/decrease",
    ),
    (
        "When do I add the salt?",
        "Add the salt before the pasta goes into the water.",
        "After the pasta goes into the water, add the salt.",
        "before/after",
    ),
    (
        "How many people may enter?",
        "At least ten people may enter the cave at once.",
        "No more than ten people may enter the cave at once.",
        "at least/at most",
    ),
    (
        "Which rows does the filter keep?",
        "The filter keeps the rows where `age >= 18`.",
        "It keeps the rows where `age <= 18` and drops the others.",
        "comparison",
    ),
    (
        "Who pays the higher fee?",
        "Vehicles longer than 6 metres pay the higher fee on the ferry.",
        "On the ferry, vehicles shorter than 6 metres pay the higher fee.",
        "comparison",
    ),
    (
        "Must I wear a helmet?",
        "A helmet is mandatory for all cyclists in this country.",
        "In this country, a helmet is optional for cyclists.",
        "required/optional",
    ),
    (
        "How do I change a tyre?",
        "1. Loosen the nuts.\n2. Lift the car.\n3. Take off the wheel.",
        "1. Lift the car.\n2. Take off the wheel.\n3. Loosen the nuts.",
        "order",
    ),
    (
        "How do I plant the tree?",
        "First water the hole, then put the tree in.",
        "Put the tree in first, then water the hole.",
        "order",
    ),
    (
        "Which way does the train run?",
        "The night train runs from Vienna to Rome and has a dining car.",
        "It is the night train that runs from Rome to Vienna.",
        "direction",
    ),
    (
        "Which team won?",
        "In the final, Brazil beat Germany after extra time.",
        "In the final, Germany beat Brazil after extra time.",
        "swapped names",
    ),
    (
        "Does the warranty cover water damage?",
        "The warranty covers water damage in the first year, if you keep the receipt.",
        "Water damage isn't covered by the warranty.",
        "negation",
    ),
    (
        "Darf man hier parken?",
        "Besucher dürfen am Wochenende auf dem Hof parken.",
        "Am Wochenende dürfen Besucher hier auf dem Hof nicht parken.",
        "negation, German",
    ),
    (
        "Si può cancellare la prenotazione?",
        "La prenotazione può essere cancellata fino al giorno prima dell'arrivo.",
        "La prenotazione non può essere cancellata.",
        "negation, Italian",
    ),
    (
        "ファイルは復元できますか？",
        "削除したファイルは復元できます。ごみ箱を開いてください。",
        "削除したファイルは復元できません。",
        "negation, Japanese",
    ),
    (
        "Czy mogę zwrócić bilet?",
        "Bilet można zwrócić w kasie przed odjazdem pociągu.",
        "Biletu nie można zwrócić w kasie.",
        "negation, Polish",
    ),
    ("Dosya silinebilir mi?", "Evet, bu dosya güvenle silinir.", "Hayır, bu dosya silinmez.", "yes or no, Turkish"),
    (
        "Is it approved?",
        '{"approved": true, "limit": 500}',
        '{"limit": 500, "approved": false, "note": "see the manager about it"}',
        "JSON",
    ),
    (
        "Which command shows the status?",
        "Run `git status` in the folder to see what changed.",
        "Run `git log` in the folder to see what changed.",
        "name in code",
    ),
]

_ONE_ANSWER: list[tuple[str, list[str]]] = [
    (
        "How do I turn on cruise control?",
        [
            "Press the left button on the wheel to turn on cruise control, then choose the speed with the plus key.",
            "Cruise control is switched on with the button on the left of the wheel; set the speed with the plus key.",
            "To activate cruise control, use the wheel's left button. After that, select a speed with plus.",
            "Enable cruise control with the left button of the steering wheel. It works above 30 km/h.",
        ],
    ),
    (
        "How do I turn off the oven's child lock?",
        [
            "Hold the lock key for five seconds to switch off the child lock.",
            "The child lock is disabled by holding the lock key for 5 seconds.",
            "Keep the lock key pressed for 5 seconds. The child lock turns off and you hear a tone.",
            "To deactivate the child lock, press the lock key and do not let go for five seconds.",
        ],
    ),
    (
        "How do I enable offline maps?",
        [
            "In the travel app, open Downloads, pick a region and turn Offline maps on.",
            "Pick a region under Downloads in the travel app, then enable Offline maps.",
            "Offline maps are activated in the travel app: Downloads > region > Offline maps.",
            "Go to Downloads, choose your region and switch on Offline maps. Each region needs 300 MB.",
        ],
    ),
    (
        "How do I stop the weekly newsletter?",
        [
            "Open your mail preferences and turn off Weekly newsletter.",
            "Switch Weekly newsletter off in your mail preferences.",
            "In the mail preferences, disable the weekly newsletter; important notices are still sent.",
            "Go to mail preferences and deactivate Weekly newsletter. You can turn it on again whenever you like.",
        ],
    ),
    (
        "How do I turn on SSL for the site?",
        [
            "Open the site's panel, go to Certificates and enable SSL. Then restart the web server.",
            "Under Certificates in the panel of your site, switch SSL on and restart the web server afterwards.",
            "To turn on SSL, choose Certificates in the site's panel, set SSL to on, and restart the server.",
            "SSL is activated in the panel under Certificates. The web server must be restarted after you enable it.",
        ],
    ),
    (
        "How do I turn off the printer's eco mode?",
        [
            "On the printer's display, choose Power and turn eco mode off.",
            "Eco mode is switched off on the display under Power.",
            "Tap Power on the printer's screen, then disable Eco mode. Pages print faster then.",
            "Choose Power on the display and set Eco mode to off.",
        ],
    ),
    (
        "How do I activate the roaming option?",
        [
            "Send ROAM to 5500 to activate roaming. You get a message within 10 minutes.",
            "Roaming is turned on by sending the text ROAM to 5500.",
            "Text ROAM to 5500 and wait for the message; roaming is then switched on.",
            "To enable roaming, send a message with the word ROAM to 5500. It costs nothing in the EU.",
        ],
    ),
    (
        "How do I disable telemetry in the editor?",
        [
            "Add `telemetry: false` to the editor's configuration and restart it.",
            "Put `telemetry: false` in the configuration file, then restart the editor.",
            "Telemetry is disabled with the line `telemetry: false` in the configuration. Restart the editor.",
            "To switch telemetry off, write `telemetry: false` in your configuration file; the editor reads it after a restart.",
        ],
    ),
    (
        "How do I turn on the garden lights automatically?",
        [
            "In the home app, create a rule that turns on the garden lights at sunset.",
            "Create a rule in the home app: at sunset, switch the garden lights on.",
            "Use the home app to make a rule for sunset which turns the garden lights on, and another that turns them off at midnight.",
            "Open the home app and add a rule so that the garden lights are switched on at sunset.",
        ],
    ),
    (
        "How do I mute a conversation?",
        [
            "Long-press the conversation and tap Mute.",
            "Press the conversation for a moment, then choose Mute. You do not get any sound.",
            "To mute it, hold your finger on the conversation and select Mute.",
            "Tap and hold the conversation; in the menu, select Mute. Unmute it in the same way.",
        ],
    ),
    (
        "¿Cómo activo el modo avión?",
        [
            "Abra Ajustes, toque Red y active el modo avión.",
            "El modo avión se activa en Ajustes, en el apartado Red.",
            "Para activar el modo avión, vaya a Ajustes y después a Red.",
            "En Ajustes > Red puede activar el modo avión. Las llamadas no funcionan entonces.",
        ],
    ),
    (
        "How do I turn off the pilot light?",
        [
            "Close the gas valve below the boiler, and the pilot light goes out.",
            "Turn the gas valve under the boiler until it is closed. This switches the pilot light off.",
            "The pilot light turns off when you close the gas valve below the boiler. Never open the valve again while you smell gas.",
            "To switch off the pilot light, shut the gas valve beneath the boiler.",
        ],
    ),
]

REWORDINGS: list[tuple[str, str, str]] = [
    (question, left, right) for question, answers in _ONE_ANSWER for left, right in combinations(answers, 2)
]
