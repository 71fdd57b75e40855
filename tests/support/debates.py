"""Two debates to be measured: one whose rounds only say the same again, one whose rounds each bring a new point.

Each is a list of rounds; a round is the turns of FOR and AGAINST. Tests of the redundancy measure and the end-to-end
tests of the stop reason use them, so that both speak of the same texts.
"""

from __future__ import annotations

PARAPHRASED: list[tuple[str, str]] = [
    (
        "AI creates more jobs than it destroys. New technology frees workers from boring routine tasks. "
        "People will move into better and more creative work.",
        "AI destroys more jobs than it creates. Millions of ordinary workers will be left without an income. "
        "Companies use it only to cut their costs.",
    ),
    (
        "More jobs are created by AI than are destroyed by it. Workers are freed from dull routine tasks by new "
        "technology. People are going to move into more creative and better work.",
        "More jobs are destroyed by AI than are created by it. Millions of ordinary workers will be left with "
        "no income. "
        "Companies only use it to cut costs.",
    ),
    (
        "The number of jobs that AI brings is larger than the number it takes. It relieves employees of tedious, "
        "repetitive duties. They will end up doing more interesting and creative work.",
        "AI takes away more jobs than it brings. Countless ordinary employees will lose their income. All "
        "that companies "
        "want from it is to lower their costs.",
    ),
    (
        "As I said, AI produces more jobs than it eliminates. Thanks to the technology, workers no longer do boring "
        "routine tasks. They go on to better, creative work.",
        "As I said, AI eliminates more jobs than it produces. Ordinary workers by the million will have no "
        "income left. "
        "For companies it is only a way to save costs.",
    ),
]
"""Nobody says anything after round 1: rounds 2, 3 and 4 are redundant."""

FRESH: list[tuple[str, str]] = [
    (
        "AI creates more jobs than it destroys. Software firms in Bangalore hired forty thousand people for "
        "it last year.",
        "AI destroys more jobs than it creates. Call centres in Manila have already sent half of their staff home.",
    ),
    (
        "Nurses win most of all. A hospital in Lyon lets software write the records, so each nurse has an "
        "hour more for "
        "patients.",
        "The young lose most. Law firms no longer take trainees, because a program reads the contracts that beginners "
        "once learned on.",
    ),
    (
        "Farming shows it best. Sensors tell growers in Kenya when to water, and the harvest pays for two "
        "more pickers.",
        "Look at translators. Publishers now pay a third of the old fee for correcting what a machine has written.",
    ),
    (
        "History is on our side. When cash machines came, banks opened more branches and the number of tellers rose.",
        "The handloom weavers of 1820 never recovered. Their grandchildren were better off, but they "
        "themselves died poor.",
    ),
    (
        "Prices fall when production gets cheaper. Families spend what they save on restaurants, travel and repairs.",
        "Profits go to whoever owns the data centres. Five companies take the gain, and the tax base of towns shrinks.",
    ),
    (
        "In ten years a shrinking population will need every helping hand. Japan already lacks drivers, carers and "
        "welders.",
        "Regulators are a decade behind. Nobody can appeal today when an algorithm rejects a job application.",
    ),
    (
        "Evening courses work. Denmark retrains one worker in four each year, and most earn more afterwards.",
        "A lorry driver of fifty-eight with a mortgage does not become a data scientist. Pensions are cut by "
        "each lost year.",
    ),
    (
        "Blind and deaf people enter offices that were closed to them. Captions and readers open whole professions.",
        "Being watched by a camera that counts keystrokes makes people ill. Sick leave in such warehouses has doubled.",
    ),
]
"""Each round has an argument or example that no earlier one had: no round is redundant."""

REPEATED_BY_LANGUAGE: dict[str, list[tuple[str, str]]] = {
    "zh": [
        (
            "人工智能创造的就业岗位多于它消灭的岗位。新技术把工人从枯燥的重复劳动中解放出来。"
            "人们会转向更好、更有创造性的工作。",
            "人工智能消灭的就业岗位多于它创造的岗位。数以百万计的普通工人将失去收入。公司使用它只是为了降低成本。",
        ),
        (
            "人工智能带来的工作岗位比它夺走的更多。工人因为新技术而不必再做单调的重复劳动。"
            "人们将从事更有创造性的、更好的工作。",
            "人工智能夺走的工作岗位比它带来的更多。几百万普通工人会没有收入。企业使用人工智能只是想节省成本。",
        ),
    ],
    "th": [
        (
            "ปัญญาประดิษฐ์สร้างงานมากกว่าที่มันทำลาย เทคโนโลยีใหม่ช่วยให้คนงานไม่ต้องทำงานซ้ำซากน่าเบื่อ "
            "ผู้คนจะย้ายไปทำงานที่ดีกว่าและสร้างสรรค์กว่า",
            "ปัญญาประดิษฐ์ทำลายงานมากกว่าที่มันสร้าง คนงานธรรมดาหลายล้านคนจะไม่มีรายได้ บริษัทใช้มันเพื่อลดต้นทุนเท่านั้น",
        ),
        (
            "ปัญญาประดิษฐ์ทำให้เกิดงานมากกว่าที่มันทำให้หายไป "
            "คนงานไม่ต้องทำงานซ้ำซากที่น่าเบื่อเพราะเทคโนโลยีใหม่ "
            "ผู้คนจะได้ทำงานที่สร้างสรรค์กว่าและดีกว่าเดิม",
            "ปัญญาประดิษฐ์ทำให้งานหายไปมากกว่าที่มันสร้างขึ้น คนงานธรรมดานับล้านคนจะขาดรายได้ บริษัทต่างๆ ใช้มันก็เพื่อลดต้นทุนเท่านั้น",
        ),
    ],
    "ar": [
        (
            "الذكاء الاصطناعي يخلق وظائف أكثر مما يدمر. التقنية الجديدة تحرر العمال من الأعمال الروتينية "
            "المملة. سينتقل الناس إلى أعمال أفضل وأكثر إبداعا.",
            "الذكاء الاصطناعي يدمر وظائف أكثر مما يخلق. ملايين العمال العاديين سيبقون بلا دخل. الشركات "
            "تستخدمه فقط لخفض التكاليف.",
        ),
        (
            "الوظائف التي يخلقها الذكاء الاصطناعي أكثر من التي يدمرها. بفضل التقنية الجديدة يتحرر العمال من "
            "المهام الروتينية المملة. سوف ينتقل الناس إلى أعمال أكثر إبداعا وأفضل.",
            "الوظائف التي يدمرها الذكاء الاصطناعي أكثر من التي يخلقها. سيبقى ملايين العمال العاديين من دون "
            "دخل. لا تستخدمه الشركات إلا لخفض التكاليف.",
        ),
    ],
    "hi": [
        (
            "कृत्रिम बुद्धिमत्ता जितनी नौकरियाँ नष्ट करती है उससे अधिक बनाती है। नई तकनीक श्रमिकों को उबाऊ "
            "दोहराव वाले काम से मुक्त करती है। लोग बेहतर और अधिक रचनात्मक काम करने लगेंगे।",
            "कृत्रिम बुद्धिमत्ता जितनी नौकरियाँ बनाती है उससे अधिक नष्ट करती है। लाखों साधारण श्रमिकों की आय "
            "समाप्त हो जाएगी। कंपनियाँ इसका उपयोग केवल लागत घटाने के लिए करती हैं।",
        ),
        (
            "कृत्रिम बुद्धिमत्ता से बनने वाली नौकरियाँ नष्ट होने वाली नौकरियों से अधिक हैं। नई तकनीक के कारण "
            "श्रमिक उबाऊ दोहराव वाले काम से मुक्त होते हैं। लोग अधिक रचनात्मक और बेहतर काम करेंगे।",
            "कृत्रिम बुद्धिमत्ता से नष्ट होने वाली नौकरियाँ बनने वाली नौकरियों से अधिक हैं। लाखों साधारण "
            "श्रमिक बिना आय के रह जाएँगे। कंपनियाँ केवल लागत कम करने के लिए इसका उपयोग करती हैं।",
        ),
    ],
    "ja": [
        (
            "人工知能は失われる仕事よりも多くの仕事を生み出します。"
            "新しい技術は労働者を退屈な反復作業から解放します。人々はより良い創造的な仕事に移るでしょう。",
            "人工知能は生み出す仕事よりも多くの仕事を奪います。何百万人もの普通の労働者が収入を失います。"
            "企業はコストを下げるためだけに使っています。",
        ),
        (
            "人工知能が生み出す仕事は、失われる仕事よりも多いのです。"
            "労働者は新しい技術によって退屈な反復作業から解放されます。"
            "人々はもっと創造的で良い仕事に移っていくでしょう。",
            "人工知能が奪う仕事は、生み出す仕事よりも多いのです。"
            "何百万人もの普通の労働者が収入を失うことになります。企業が使うのはコストを下げるためだけです。",
        ),
    ],
    "es": [
        (
            "La IA crea más empleos de los que destruye. La nueva tecnología libera a los trabajadores de "
            "las tareas rutinarias y aburridas. La gente pasará a trabajos mejores y más creativos.",
            "La IA destruye más empleos de los que crea. Millones de trabajadores corrientes se quedarán sin "
            "ingresos. Las empresas solo la usan para reducir costes.",
        ),
        (
            "Son más los empleos que crea la IA que los que destruye. Los trabajadores quedan libres de "
            "tareas aburridas y rutinarias gracias a la nueva tecnología. La gente pasará a empleos más "
            "creativos y mejores.",
            "Son más los empleos que destruye la IA que los que crea. Millones de trabajadores normales se "
            "quedarán sin ingresos. Las empresas la usan únicamente para reducir sus costes.",
        ),
    ],
}
"""In each language a second round that only says the first again."""

FRESH_BY_LANGUAGE: dict[str, list[tuple[str, str]]] = {
    "zh": [
        REPEATED_BY_LANGUAGE["zh"][0],
        (
            "护士得益最多。里昂的一家医院让软件写病历，每位护士每天多出一小时照顾病人。",
            "年轻人损失最大。律师事务所不再招收实习生，因为程序可以阅读合同。",
        ),
        (
            "农业是最好的例子。肯尼亚的传感器告诉农民什么时候浇水，增加的收成可以多雇两名采摘工。",
            "看看翻译这一行。出版社现在只付过去三分之一的稿费来修改机器译文。",
        ),
    ],
    "th": [
        REPEATED_BY_LANGUAGE["th"][0],
        (
            "พยาบาลได้ประโยชน์มากที่สุด โรงพยาบาลแห่งหนึ่งในเมืองลียงให้ซอฟต์แวร์เขียนเวชระเบียน "
            "พยาบาลจึงมีเวลาดูแลผู้ป่วยเพิ่มขึ้นวันละหนึ่งชั่วโมง",
            "คนหนุ่มสาวเสียประโยชน์มากที่สุด สำนักงานกฎหมายไม่รับเด็กฝึกงานอีกต่อไป เพราะโปรแกรมอ่านสัญญาแทนได้แล้ว",
        ),
        (
            "การเกษตรเป็นตัวอย่างที่ดีที่สุด เซ็นเซอร์บอกเกษตรกรในเคนยาว่าเมื่อไรควรรดน้ำ ผลผลิตที่เพิ่มขึ้นจ่ายค่าจ้างคนเก็บเกี่ยวได้อีกสองคน",
            "ลองดูอาชีพนักแปล สำนักพิมพ์จ่ายเพียงหนึ่งในสามของค่าแปลเดิมเพื่อแก้ไขสิ่งที่เครื่องแปลไว้",
        ),
    ],
    "ar": [
        REPEATED_BY_LANGUAGE["ar"][0],
        (
            "الممرضات أكثر المستفيدين. في مستشفى بمدينة ليون يكتب البرنامج السجلات فتكسب كل ممرضة ساعة إضافية للمرضى.",
            "الشباب هم الخاسر الأكبر. مكاتب المحاماة لم تعد تقبل المتدربين لأن برنامجا يقرأ العقود.",
        ),
        (
            "الزراعة أفضل مثال على ذلك. تخبر أجهزة الاستشعار المزارعين في كينيا بموعد الري فيدفع المحصول أجر "
            "عاملين إضافيين.",
            "انظروا إلى المترجمين. تدفع دور النشر الآن ثلث الأجر القديم لتصحيح ما كتبته الآلة.",
        ),
    ],
    "hi": [
        REPEATED_BY_LANGUAGE["hi"][0],
        (
            "नर्सों को सबसे अधिक लाभ होता है। लियोन के एक अस्पताल में सॉफ़्टवेयर अभिलेख लिखता है, इसलिए हर "
            "नर्स को मरीज़ों के लिए एक घंटा अधिक मिलता है।",
            "युवाओं का सबसे अधिक नुकसान होता है। वकीलों के दफ़्तर अब प्रशिक्षु नहीं रखते क्योंकि अनुबंध एक प्रोग्राम पढ़ता है।",
        ),
        (
            "खेती इसका सबसे अच्छा उदाहरण है। केन्या में सेंसर किसानों को बताते हैं कि सिंचाई कब करनी है, और "
            "बढ़ी हुई फ़सल से दो और मज़दूर रखे जाते हैं।",
            "अनुवादकों को देखिए। प्रकाशक अब मशीन का लिखा सुधारने के लिए पुराने शुल्क का एक तिहाई ही देते हैं।",
        ),
    ],
    "ja": [
        REPEATED_BY_LANGUAGE["ja"][0],
        (
            "看護師が最も得をします。"
            "リヨンの病院ではソフトウェアが記録を書くので、看護師は患者のために一時間多く使えます。",
            "若者が最も損をします。法律事務所は契約書をプログラムに読ませるので、もう見習いを採りません。",
        ),
        (
            "農業が最も良い例です。"
            "ケニアではセンサーが水やりの時期を農家に知らせ、増えた収穫で摘み手を二人多く雇えます。",
            "翻訳者を見てください。出版社は機械が書いたものを直すために、昔の料金の三分の一しか払いません。",
        ),
    ],
    "es": [
        REPEATED_BY_LANGUAGE["es"][0],
        (
            "Las enfermeras son las que más ganan. Un hospital de Lyon deja que el programa escriba los "
            "historiales, y cada enfermera tiene una hora más para los pacientes.",
            "Los jóvenes son los que más pierden. Los bufetes ya no contratan pasantes porque un programa "
            "lee los contratos.",
        ),
        (
            "La agricultura es el mejor ejemplo. En Kenia los sensores indican cuándo hay que regar, y la "
            "cosecha paga a dos recolectores más.",
            "Miren a los traductores. Las editoriales pagan hoy un tercio de la tarifa antigua por corregir "
            "lo que escribe una máquina.",
        ),
    ],
}
"""In each language two more rounds after the first, with new points."""
