# ruff: noqa: E501
"""Pairs of answers that share fewer words, as (left, right). A third batch, written after ``answer_pairs_held_out``.

At the first run the veto rejected 21 of the 26 opposites and passed 24 of the 26 rewordings.
"""

OPPOSITES: list[tuple[str, str]] = [
    (
        "You can cancel the order within 24 hours. After that, it is already on its way and must be returned by post.",
        "Orders can be cancelled within 48 hours. Later than that, please return the parcel.",
    ),
    (
        "The free tier allows 1,000 requests per day. Paid plans have no limit.",
        "You get 1,000 requests per minute on the free tier.",
    ),
    (
        "Yes. Both parents have to sign the form before the trip.",
        "Only one parent has to sign; the other one need not do anything. No second signature is necessary.",
    ),
    (
        "Vitamin K is soluble in fat and stored in the liver.",
        "Vitamin K is not soluble in fat, so the body cannot store it.",
    ),
    (
        "The default port is 5432, which you can change in the configuration file.",
        "By default it listens on port 3306.",
    ),
    (
        "Logs are kept for two weeks and then deleted automatically.",
        "Logs are retained for 30 days before they are removed.",
    ),
    (
        "Use HTTPS for internal calls too; plain HTTP is blocked by the mesh.",
        "Plain HTTP is allowed inside the mesh, so internal calls do not need HTTPS.",
    ),
    (
        "Set the thermostat to 18 degrees Celsius at night.",
        "At night, the thermostat should be set to 21 degrees Celsius.",
    ),
    (
        "The museum is closed on Mondays and open late on Thursdays.",
        "The museum is open on Mondays, but closes early on Sundays.",
    ),
    (
        "El servicio es gratuito para estudiantes durante el primer año.",
        "Los estudiantes deben pagar: el servicio no es gratuito el primer año.",
    ),
    (
        "Le fichier est supprimé automatiquement après 7 jours.",
        "Le fichier est supprimé automatiquement après 30 jours.",
    ),
    (
        "Die Funktion ist standardmäßig aktiviert und kann in den Einstellungen geändert werden.",
        "Standardmäßig ist die Funktion deaktiviert.",
    ),
    (
        "Sort the list in ascending order so that the oldest entry comes first.",
        "Sort the list in descending order, so the newest entry is at the top.",
    ),
    ("Interest is calculated daily and paid at the end of the month.", "Interest is calculated monthly."),
    ("The function returns `True` when the key exists.", "When the key exists, the function returns `False`."),
    (
        "The call is asynchronous: it returns at once and you wait for the event.",
        "The call is synchronous and waits until the job is done.",
    ),
    ("Only administrators can export the data.", "All users can export the data, not only administrators."),
    (
        "You should always wash chicken before you cook it.",
        "You should never wash chicken before you cook it, since it spreads germs.",
    ),
    ("Turn left at the church, then walk for 200 metres.", "Turn right at the church and walk 200 metres."),
    ("The tablet contains less sugar than the syrup.", "The tablet contains more sugar than the syrup."),
    ("Alice reports to Bob in the new structure.", "Bob reports to Alice in the new structure."),
    ("密码必须至少包含8个字符。", "密码必须至少包含12个字符。"),
    ("このオプションはデフォルトで有効です。", "このオプションはデフォルトで無効です。"),
    ("이 파일은 삭제해도 안전합니다.", "이 파일은 삭제하면 안전하지 않습니다."),
    ("La garantía cubre los daños por agua.", "La garantía no cubre los daños causados por el agua."),
    ("Podés usar el mismo boleto dos veces.", "El boleto solo se puede usar una vez."),
]

REWORDINGS: list[tuple[str, str]] = [
    (
        "You can cancel the order within 24 hours. After that, it must be returned.",
        "Cancel within 24 hours of ordering. If you are later, send the parcel back; the refund takes 5 days.",
    ),
    (
        "Logs are kept for two weeks and then deleted automatically.",
        "The system stores logs for 14 days. Afterwards they are removed.",
    ),
    (
        "No, the free plan does not include phone support.",
        "Phone support is not part of the free plan. You need the Pro plan for it.",
    ),
    ("The museum is closed on Mondays.", "On Mondays the museum does not open."),
    (
        "Use an index on the column to speed up the query.",
        "The query gets faster if you add an index on that column; do not forget to analyze the table.",
    ),
    (
        "Water boils at 100 °C at sea level.",
        "At sea level, the boiling point of water is 100 degrees Celsius (212 °F).",
    ),
    (
        "Don't store passwords in plain text; hash them with bcrypt.",
        "Passwords should be hashed with bcrypt and never be stored in plain text.",
    ),
    (
        "Run `npm install` and then `npm start`.",
        "First install the packages with `npm install`. Then start the app: `npm start`.",
    ),
    ("To increase the limit, open a ticket.", "Open a ticket if you want a higher limit."),
    ("The function is not thread-safe.", "The function is unsafe to call from several threads."),
    ("Sie können das Abo jederzeit kündigen.", "Das Abo ist jederzeit kündbar; es gibt keine Mindestlaufzeit."),
    (
        "Vous devez redémarrer l'ordinateur après l'installation.",
        "Après l'installation, un redémarrage de l'ordinateur est nécessaire. N'oubliez pas d'enregistrer vos fichiers.",
    ),
    (
        "The capital of Australia is Canberra, not Sydney.",
        "Canberra is the capital of Australia. It was chosen in 1908.",
    ),
    (
        "The Treaty of Versailles was signed on 28 June 1919.",
        "It was signed in the Hall of Mirrors on June 28, 1919, and took effect on January 10, 1920.",
    ),
    ("Yes, you can take the medicine with food.", "You can take it with food. Avoid alcohol."),
    ("The package needs Python 3.9 or later.", "You need at least Python 3.9 for the package; 3.12 is recommended."),
    ("Turn the valve to the left to open it.", "To open the valve, turn it left. Turning it right closes it."),
    ("The minimum age is 18.", "You must be at least 18 years old."),
    ("The flight takes about 7 hours.", "It is a flight of roughly seven hours and covers 5,500 km."),
    ("Delete the old key after you create the new one.", "Create a new key first, then delete the old one."),
    (
        "Close all other programs before you start the installer.",
        "Before starting the installer, make sure that no other programs are open.",
    ),
    ("You cannot change the region later.", "The region is fixed and can't be changed afterwards."),
    ("安装后可以更改用户名。", "您可以在安装之后修改用户名,不需要重新启动。"),
    (
        "削除したファイルはごみ箱から復元できます。",
        "ごみ箱を開けば、削除したファイルを復元できます。30日後は復元できません。",
    ),
    (
        "Photosynthesis turns light into chemical energy in the chloroplasts.",
        "In chloroplasts, plants convert light energy to chemical energy; without light the process stops.",
    ),
    (
        "Set `debug=True` in the settings for local development only.",
        "For local development, use `debug=True`. In production it must be `debug=False`.",
    ),
]
