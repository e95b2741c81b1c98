// The lessons, in order. Data only: a lesson more is an entry more.
//
// Every number in a text was measured on this page with the settings and the seed of its lesson; a test runs them.

import type { Lesson } from "./lesson";

export const LESSONS: readonly Lesson[] = [
  {
    id: "recurrence",
    title: "Recurrence",
    settings: { "task.length": 6, "optimiser.lr": 0.002, "b.model": "elman", "b.hidden": 1 },
    before: [
      "A recurrent network reads one symbol after the other. Between them it keeps a few numbers, its state h. At every timestep the new state is made from the old state and the new symbol: h_t = tanh(W_ih x_t + W_hh h_{t−1} + b). There is no other memory.",
      "The task: the first of six symbols is A or B, five meaningless ones follow, and then the network must say which it was. Whoever guesses is right half of the time.",
      "Lane A keeps 16 numbers, lane B a single one.",
    ],
    prediction: {
      kind: "choice",
      question: "Which lanes will have solved the task by step 900?",
      choices: [
        { id: "a", text: "Only A, with 16 units" },
        { id: "b", text: "Only B, with one unit" },
        { id: "ab", text: "Both" },
        { id: "none", text: "Neither" },
      ],
      judge: { kind: "solved", by: 900 },
    },
    after: [
      "Look at “States” in lane A: some rows keep one colour from left to right. That is the memory. Lane B's only number is overwritten by every symbol.",
      "[Give lane B four units](b.hidden=4) and run again.",
    ],
    challenge: {
      text: "Reach 95 % on a sequence of at least 10 symbols with an Elman network, within 1,000 steps. [Begin with length 10](task.length=10).",
      accuracy: 0.95,
      within: 1000,
      where: { "task.length": 10, ".model": "elman" },
    },
  },
  {
    id: "unrolling",
    title: "Unrolling",
    settings: { "task.length": 10, lanes: 1 },
    before: [
      "The picture “Unrolled” shows one network ten times, side by side: once for each timestep. Time runs to the right. What goes in stands below, what comes out above, and each arrow to the right hands the state on.",
      "It looks like a deep network of ten layers. But it is the same layer again and again: W_ih (16 × 18 numbers), W_hh (16 × 16), two biases of 16, and the output layer (2 × 16 and 2).",
    ],
    prediction: {
      kind: "choice",
      question: "How many numbers does training adjust in this network, unrolled over ten timesteps?",
      choices: [
        { id: "610", text: "610" },
        { id: "6100", text: "6,100" },
        { id: "5794", text: "5,794: ten times all but the output layer" },
      ],
      judge: { kind: "parameters", lane: 0 },
    },
    after: [
      "All columns share one set of weights. So the network can be unrolled over any length: [make it 50 timesteps](task.length=50), and nothing is added but columns.",
      "A second layer is something else. It has weights of its own, and reads the first layer's states: [add a layer](task.length=10&a.layers=2).",
    ],
    challenge: {
      text: "Reach 95 % with two layers and a length of at least 10, within 1,000 steps.",
      accuracy: 0.95,
      within: 1000,
      where: { "task.length": 10, ".layers": 2 },
    },
  },
  {
    id: "bptt",
    title: "Backpropagation through time",
    settings: { "task.length": 12, "b.model": "elman", "b.window": 4 },
    before: [
      "To learn, the network must know how the loss at the end would change if a state at the beginning changed: the gradient ∂L/∂h_t. It starts at the last timestep and is handed back from column to column, against the arrows: ∂L/∂h_{t−1} = ∂L/∂h_t · ∂h_t/∂h_{t−1}. This is backpropagation through time.",
      "The weights are shared, so what each timestep contributes to their gradient is added up.",
      "Going back is dear for long sequences, so one often stops after a few steps. Lane B does: its gradient is cut after 4 of the 12 timesteps. The forward pass is the same in both lanes.",
    ],
    prediction: {
      kind: "choice",
      question: "Which lanes will have solved the task by step 1,200?",
      choices: [
        { id: "a", text: "Only A, with the whole way back" },
        { id: "b", text: "Only B, which is cut after 4 steps" },
        { id: "ab", text: "Both" },
        { id: "none", text: "Neither" },
      ],
      judge: { kind: "solved", by: 1200 },
    },
    after: [
      "Lane B sees the first symbol, and may even carry it to the end, but nothing tells its weights that it mattered: steps 1 to 8 of its ribbon receive nothing at all.",
      "See who pays for an update: [open the ledger](panels=ledger).",
    ],
    challenge: {
      text: "Reach 95 % at a length of at least 12 with a truncation window, within 1,500 steps. [A window of 8](a.window=8) is a first try.",
      accuracy: 0.95,
      within: 1500,
      where: { "task.length": 12, ".window": 1 },
    },
  },
  {
    id: "vanishing",
    title: "The vanishing gradient",
    settings: { lanes: 1 },
    before: [
      "Each step back multiplies the gradient by ∂h_t/∂h_{t−1} = W_hhᵀ diag(1 − h_t²). If that shrinks a vector by a half, ten steps shrink it a thousandfold, and twenty a millionfold.",
      "Here an Elman network with PyTorch's default weights reads 25 symbols and is asked for the first. It has not been trained yet. The ribbon of its gradient is hidden.",
    ],
    prediction: {
      kind: "ribbon",
      question:
        "How much of the gradient at step 25 arrives at the earlier steps? Drag the circles, or move the sliders.",
      lane: 0,
    },
    after: [
      "Each step back takes nearly half: ×0.56. Step 1 receives less than a millionth of the signal. On a logarithmic scale that is a straight line.",
      "Press Run: after 2,000 steps the network still guesses. The first symbol's share drowns in what the nearer symbols say. [Open the factors](panels=factors) to see what each step is made of, or [ask for only ten symbols](task.length=10): that takes about 300 steps.",
    ],
    challenge: {
      text: "Reach 95 % with the default weights at a length of at least 15, within 2,000 steps. A larger learning rate, set before you run, helps to a point.",
      accuracy: 0.95,
      within: 2000,
      where: { "task.length": 15, ".model": "elman", ".init": "pytorch" },
    },
  },
  {
    id: "exploding",
    title: "Exploding gradients and clipping",
    settings: {
      lanes: 1,
      "task.length": 45,
      "a.nonlinearity": "identity",
      "a.init": "orthogonal",
      "a.init.gain": 1.2,
      optimiser: "sgd",
      "optimiser.lr": 0.1,
      clip: "off",
    },
    before: [
      "The same product can grow. This network has no tanh, so each step back multiplies by W_hhᵀ alone, and that is a rotation times 1.2. Nothing is trained yet, and the gradient is hidden.",
    ],
    prediction: {
      kind: "choice",
      question: "What happens to the gradient over 44 steps back?",
      choices: [
        { id: "vanishing,fading", text: "It shrinks" },
        { id: "steady", text: "It stays about the same" },
        { id: "growing", text: "It grows, less than a thousandfold" },
        { id: "exploding", text: "It grows more than a thousandfold" },
      ],
      judge: { kind: "verdict", lane: 0 },
    },
    after: [
      "1.2 to the power of 44 is 3,000, and that is the share of step 1. Now press Run and see what plain gradient descent makes of that.",
      "The remedy is old and simple: when the norm of the whole gradient is larger than a threshold, scale it down to the threshold. The direction stays. [Clip by norm at 1](clip=norm&clip.at=1), reset, and run again.",
    ],
    challenge: {
      text: "Reach 95 % with plain SGD, a gain of at least 1.2 and a length of at least 40, within 1,000 steps.",
      accuracy: 0.95,
      within: 1000,
      where: { "task.length": 40, ".init.gain": 1.2, ".nonlinearity": "identity", optimiser: "sgd" },
    },
  },
  {
    id: "initialisation",
    title: "Initialisation",
    settings: { lanes: 1, "a.init": "orthogonal" },
    before: [
      "If the product of many steps decides, the first weights matter. An orthogonal W_hh turns vectors and keeps their length: its singular values are all 1. What still shrinks the gradient is tanh, whose slope 1 − h² is below 1 wherever a unit is not at zero.",
      "The Elman network with PyTorch's default weights lost nearly half at each step back, and step 1 of 25 received less than a millionth.",
    ],
    prediction: {
      kind: "ribbon",
      question: "And with an orthogonal W_hh, before training? Draw the share that arrives at each step.",
      lane: 0,
    },
    after: [
      "×0.91 a step back: step 1 receives 13 %. The task that the default weights do not solve in 2,000 steps takes this network 150.",
      "[Look at the spectrum](panels=spectrum): the eigenvalues lie on the unit circle. [Ask for 60 symbols](task.length=60) and it fails again: a start is no guarantee for what training does later. [Try the identity](a.init=identity&task.length=25) as a start.",
    ],
    challenge: {
      text: "Reach 95 % on lag 60 with an Elman network, within 2,000 steps.",
      accuracy: 0.95,
      within: 2000,
      where: { "task.length": 60, ".model": "elman" },
    },
  },
  {
    id: "lstm",
    title: "The LSTM",
    settings: { "a.model": "lstm", "a.init": "pytorch" },
    before: [
      "The LSTM adds a second state, the cell c, with a simple way through time: c_t = f ⊙ c_{t−1} + i ⊙ g. The forget gate f is a number between 0 and 1 for each unit. On this way the gradient is multiplied by f and by no weight. A unit with f near 1 hands it back almost whole.",
      "But f is learned, too. With PyTorch's default biases it starts near 0.5. Both lanes are LSTMs on 25 symbols; B starts with 1 added to its forget gates' bias.",
    ],
    prediction: {
      kind: "choice",
      question: "Which lanes will have solved the task by step 900?",
      choices: [
        { id: "a", text: "Only A, with the default biases" },
        { id: "b", text: "Only B, with the forget bias" },
        { id: "ab", text: "Both: an LSTM solves this anyway" },
        { id: "none", text: "Neither" },
      ],
      judge: { kind: "solved", by: 900 },
    },
    after: [
      "The default LSTM loses its gradient as an Elman network does, ×0.62 a step back. With the bias it is ×0.81 through c, and the task is solved at step 300.",
      "[Open the pipe](panels=pipe) to see the product of the forget gates, and [set the forget bias to 3](b.init.forgetBias=3): it opens.",
    ],
    challenge: {
      text: "Reach 95 % on lag 60 with an LSTM, within 2,000 steps. [Ask for 60 symbols](task.length=60).",
      accuracy: 0.95,
      within: 2000,
      where: { "task.length": 60, ".model": "lstm" },
    },
  },
  {
    id: "gru",
    title: "The GRU",
    settings: { lanes: 1, "a.model": "gru", "a.init": "forget-bias", "a.init.forgetBias": 1 },
    before: [
      "The GRU has one state and keeps it with one gate: h_t = z ⊙ h_{t−1} + (1 − z) ⊙ n. Here z = 1 means keep, as in PyTorch. What is kept is not written anew: the two share one gate. A second gate r says how much of the old state may speak in the new content n.",
      "So the gradient has a way past the weights, times z for each step. This GRU starts with a bias of 1 on z, so z begins near 0.73. It is not trained yet.",
    ],
    prediction: {
      kind: "ribbon",
      question: "How much of the gradient at step 25 arrives at the earlier steps? Draw it.",
      lane: 0,
    },
    after: [
      "×0.80 a step back: step 1 receives 1/230. The way through the gates and the new content adds to the way past them, so it is more than 0.73. Run: it is solved at step 450.",
      "With [PyTorch's default biases](a.init=pytorch) it is ×0.64, and not solved within 2,000 steps. [Put an LSTM beside it](a.init=forget-bias&lanes=2&match=size): it has four blocks of weights where the GRU has three. [Race them with the same number of parameters](a.init=forget-bias&lanes=2&match=parameters), and the LSTM gets fewer units.",
    ],
    challenge: {
      text: "Reach 95 % on lag 60 with a GRU, within 2,000 steps.",
      accuracy: 0.95,
      within: 2000,
      where: { "task.length": 60, ".model": "gru" },
    },
  },
  {
    id: "directions",
    title: "Deep and bidirectional",
    settings: {
      "task.length": 60,
      "optimiser.lr": 0.001,
      "a.layers": 2,
      "b.model": "elman",
      "b.bidirectional": true,
    },
    before: [
      "A second layer takes the first one's states for its input: at each timestep the network is deeper. But the way from the first symbol to the answer is as long as before.",
      "A second row can also read the same sequence from its end. The answer is then read from both: from the last state of the row that reads forwards, and from the last state of the other, which has just read the first symbol. Such a network needs the whole sequence before it says anything, so it cannot be asked for what comes next.",
      "The first of 60 symbols is asked for. Lane A has two layers; lane B has one, in both directions.",
    ],
    prediction: {
      kind: "choice",
      question: "Which lanes will have solved the task by step 600?",
      choices: [
        { id: "a", text: "Only A, with two layers" },
        { id: "b", text: "Only B, in both directions" },
        { id: "ab", text: "Both" },
        { id: "none", text: "Neither" },
      ],
      judge: { kind: "solved", by: 600 },
    },
    after: [
      "Look at lane B's two ribbons. Both lose nearly half at each step, but the backward one falls to the right: for that row step 1 is the nearest, not the farthest.",
      "The far end of one row is the near end of the other; the middle is half as far from either. [Ask for the order of two symbols, one of them in the middle](task=temporal-order&task.length=50): lane B solves that, too. More depth does not: [give lane A four layers](a.layers=4).",
    ],
    challenge: {
      text: "Reach 95 % on the order of two symbols among at least 50, with an Elman network, within 1,000 steps.",
      accuracy: 0.95,
      within: 1000,
      where: { task: "temporal-order", "task.length": 50, ".model": "elman" },
    },
  },
  {
    id: "attention",
    title: "Encoder–decoder and attention",
    settings: {
      task: "reversal",
      "task.length": 20,
      "optimiser.lr": 0.005,
      batch: 32,
      "a.model": "gru",
      "a.hidden": 32,
      "a.decoder": "own",
      "b.model": "gru",
      "b.hidden": 32,
      "b.decoder": "luong",
    },
    before: [
      "To translate is to answer a sequence with another. One network, the encoder, reads the source. A second, the decoder, starts from the encoder's last state and says the answer symbol by symbol, reading what came before. All that it knows of the source must fit into that one state.",
      "With attention the decoder may look back. At each step it compares its state h_t with every state e_s of the encoder: weights α_ts = softmax_s(h_tᵀ W e_s) say where to look, and the answer is made from h_t and Σ_s α_ts e_s.",
      "The task: say ten symbols backwards. Both lanes are GRUs of 32 units; B has attention.",
    ],
    prediction: {
      kind: "choice",
      question: "Which lanes will have solved the task by step 600?",
      choices: [
        { id: "a", text: "Only A: 32 numbers can hold ten symbols" },
        { id: "b", text: "Only B, with attention" },
        { id: "ab", text: "Both" },
        { id: "none", text: "Neither" },
      ],
      judge: { kind: "solved", by: 600 },
    },
    after: [
      "[Open the alignment](panels=credit&credit-of=attention). A row is a step of the answer, a column what it looks at: the line that falls to the left is the string, read backwards. Nobody has told it so.",
      "Lane A has three quarters right at step 600. The longer the string, the less of it fits: with [15 symbols](task.length=30) it has little more than half.",
    ],
    challenge: {
      text: "Reach 95 % on strings of at least 20 symbols, within 800 steps. [Ask for 20](task.length=40).",
      accuracy: 0.95,
      within: 800,
      where: { task: "reversal", "task.length": 40 },
    },
  },
  {
    id: "transformers",
    title: "Why Transformers",
    settings: {
      lanes: 1,
      "task.length": 60,
      "optimiser.lr": 0.003,
      "a.model": "transformer",
      "a.layers": 2,
    },
    before: [
      "If attention can look back at every state, why hand on a state at all? In a Transformer each timestep reads all earlier ones directly: h_t takes Σ_k α_tk v_k. From any symbol to any answer it is one step, and all timesteps are computed at once, which suits a graphics card. As a sum knows no order, a vector for its position is added to each symbol.",
      "Here two such blocks read 60 symbols and are asked for the first. Nothing is trained yet; the ribbon of the first block is hidden.",
    ],
    prediction: {
      kind: "ribbon",
      question: "How much of the gradient at step 60 arrives at the earlier steps? Draw it.",
      lane: 0,
    },
    after: [
      "One fall, since 60 timesteps share one reading; then level: step 1 receives as much as step 59. Run: it is solved at step 150, and the LSTM of lesson 7 is not within 2,000.",
      "[Open the attention](panels=credit&credit-of=attention): after training the last step reads step 1 and nothing else. The price is T² weights, and no state that could be handed on for ever. [On parity](task=parity&task.length=20&lanes=2&b.model=lstm) the LSTM is done at step 300, where the Transformer still guesses.",
    ],
    challenge: {
      text: "[What followed the star?](task=induction-heads&task.length=16&task.symbols=8) Reach 95 % with a Transformer, at least 8 symbols and length 16, within 1,500 steps. One block alone cannot.",
      accuracy: 0.95,
      within: 1500,
      where: { task: "induction-heads", "task.length": 16, "task.symbols": 8, ".model": "transformer" },
    },
  },
  {
    id: "scans",
    title: "The return: scans, Mamba, RWKV, RetNet",
    settings: {
      task: "selective-copying",
      "task.length": 20,
      "task.items": 2,
      "task.alphabet": 4,
      "optimiser.lr": 0.003,
      "a.model": "mamba",
      "a.selective": false,
      "b.model": "mamba",
    },
    before: [
      "A Transformer keeps all it has read. A recurrence hands on a state of fixed size, but trains step after step. If it is linear in its state, h_t = a_t ⊙ h_{t−1} + b_t, it has both: two steps make one step of the same form, so a scan computes all T of them in log_2 T rounds.",
      "What is a_t? In RetNet, a fixed number γ; in RWKV, a learned rate for each channel. In older state-space models, learned, but the same at every step. In Mamba, and in minGRU, the input chooses it: what does not matter can be skipped.",
      "Two items stand at random places among blanks and must be repeated. Both lanes are Mamba; in A the input chooses nothing.",
    ],
    prediction: {
      kind: "choice",
      question: "Which lanes will have solved the task by step 900?",
      choices: [
        { id: "a", text: "Only A: the same at every step" },
        { id: "b", text: "Only B: selective" },
        { id: "ab", text: "Both" },
        { id: "none", text: "Neither" },
      ],
      judge: { kind: "solved", by: 900 },
    },
    after: [
      "Such gates see the input, not the state. So depth matters: [a minGRU asked what followed the star](task=induction-heads&task.length=16&task.symbols=4&a.model=mingru&a.layers=1&b.model=mingru&b.layers=2) needs a second layer, whose gates see what the first has kept.",
      "And some things need a state that acts on itself: [on parity](task=parity&task.length=20&a.model=mamba&a.selective=on&a.layers=1&b.model=lstm&b.layers=1) the LSTM is done at step 300, where Mamba is not.",
      "How much is handed on counts, too: [asked for the values of eight keys](task=associative-recall&task.length=32&optimiser.lr=0.005&a.model=mamba&a.selective=on&a.layers=1&a.hidden=32&b.model=lstm&b.layers=1&b.hidden=32), Mamba with its 256 states is right 95 % of the time by step 1,200; an LSTM as wide names one of the eight values, a third right.",
    ],
    challenge: {
      text: "Reach 95 % with three items among at least 30 timesteps, within 1,500 steps. [Ask for that](task=selective-copying&task.items=3&task.length=30&a.model=mamba&b.model=mamba&b.layers=1).",
      accuracy: 0.95,
      within: 1500,
      where: { task: "selective-copying", "task.items": 3, "task.length": 30 },
    },
  },
];
